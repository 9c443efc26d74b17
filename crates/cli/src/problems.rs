//! What a check found wrong, printed as it is found or gathered for JSON.

use serde::Serialize;

use crate::args::CheckFormat;
use crate::errors::Failure;
use crate::output::Stdout;
use crate::text::escaped;

/// One thing that is wrong.
#[derive(Serialize)]
pub(crate) struct Problem {
    pub(crate) kind: &'static str,
    /// A file with a byte offset or a line number, or an entry.
    #[serde(rename = "where")]
    pub(crate) place: String,
    pub(crate) reason: String,
}

/// Everything that is wrong.
pub(crate) struct Problems {
    format: CheckFormat,
    count: u64,
    /// For JSON only.
    list: Vec<Problem>,
}

impl Problems {
    pub(crate) fn new(format: CheckFormat) -> Self {
        Self { format, count: 0, list: Vec::new() }
    }

    pub(crate) fn add(&mut self, problem: Problem, out: &mut Stdout) -> Result<(), Failure> {
        self.count += 1;
        if self.as_json() {
            self.list.push(problem);
            return Ok(());
        }
        out.line(format_args!("{}: {}", escaped(&problem.place), escaped(&problem.reason)))
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn as_json(&self) -> bool {
        self.format == CheckFormat::Json
    }

    pub(crate) fn into_list(self) -> Vec<Problem> {
        self.list
    }
}
