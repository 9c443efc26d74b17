//! Reports problems: as text when they are found, or as JSON at the end.

use serde::Serialize;

use crate::args::ReportFormat;
use crate::errors::Failure;
use crate::output::Stdout;
use crate::text::escaped;

#[derive(Serialize)]
pub(super) struct Problem {
    pub(super) kind: &'static str,
    /// A file with a byte offset or line number, or an entry.
    #[serde(rename = "where")]
    pub(super) location: String,
    pub(super) reason: String,
}

pub(super) struct Problems {
    format: ReportFormat,
    count: u64,
    /// Only for JSON.
    list: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(format: ReportFormat) -> Self {
        Self { format, count: 0, list: Vec::new() }
    }

    pub(super) fn add(&mut self, problem: Problem, out: &mut Stdout) -> Result<(), Failure> {
        self.count += 1;
        if self.as_json() {
            self.list.push(problem);
            return Ok(());
        }
        out.line(format_args!("{}: {}", escaped(&problem.location), escaped(&problem.reason)))
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn as_json(&self) -> bool {
        self.format == ReportFormat::Json
    }

    pub(super) fn into_list(self) -> Vec<Problem> {
        self.list
    }
}
