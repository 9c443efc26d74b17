//! What `reconcile` prints: a row for each difference, and the counts.

use attestry::CorruptRecord;
use serde_json::{Value, json};

use super::calls::{Call, Here};
use super::difference::differences;
use crate::args::ReportFormat;
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::table::{Align, Table};
use crate::text::{counted, escaped, stderr_line, thousands};

pub(super) struct Report {
    format: ReportFormat,
    table: Table,
    matched: u64,
    differing: u64,
    only_here: u64,
    only_there: u64,
    erased: u64,
    unreadable: u64,
}

impl Report {
    pub(super) fn new(format: ReportFormat) -> Self {
        let columns = [
            ("PROBLEM", Align::Left, 12),
            ("CALL", Align::Left, 80),
            ("TIME", Align::Left, 26),
            ("DETAIL", Align::Left, 120),
        ];
        let columns = columns.map(|(name, align, width)| (name.to_owned(), align, width));
        Self {
            format,
            table: Table::new(columns),
            matched: 0,
            differing: 0,
            only_here: 0,
            only_there: 0,
            erased: 0,
            unreadable: 0,
        }
    }

    pub(super) fn matched(
        &mut self,
        call: &Call,
        entry: &Here,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        self.matched += 1;
        let found = differences(entry, &call.values);
        if found.is_empty() {
            return Ok(());
        }
        self.differing += 1;
        let detail =
            found.iter().map(|(field, here, there)| format!("{field}: {here} here, {there} there"));
        let detail = detail.collect::<Vec<_>>().join("; ");
        let fields: Vec<Value> = found
            .iter()
            .map(|(field, here, there)| json!({"field": field, "here": here, "there": there}))
            .collect();
        let time = entry.timestamp.to_string();
        let value = json!({"problem": "differs", "id": entry.id.as_str(), "call": call.location,
            "timestamp": time, "differences": fields});
        self.row(
            "differs",
            &format!("{} = {}", entry.id, call.location),
            &time,
            &detail,
            &value,
            out,
        )
    }

    pub(super) fn only_here(&mut self, entry: &Here, out: &mut Stdout) -> Result<(), Failure> {
        self.only_here += 1;
        let time = entry.timestamp.to_string();
        let value = json!({"problem": "only_here", "id": entry.id.as_str(), "timestamp": time});
        self.row("only here", entry.id.as_str(), &time, "an entry, and no call there", &value, out)
    }

    pub(super) fn only_there(
        &mut self,
        call: &Call,
        is_erased: bool,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        if is_erased {
            self.erased += 1;
            return Ok(());
        }
        self.only_there += 1;
        let time = call.values.timestamp.to_string();
        let value = json!({"problem": "only_there", "call": call.location, "timestamp": time});
        self.row("only there", &call.location, &time, "a call, and no entry here", &value, out)
    }

    pub(super) fn refused(
        &mut self,
        location: &str,
        reason: &str,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        self.unreadable += 1;
        let value = json!({"problem": "unreadable", "call": location, "reason": reason});
        self.row("unreadable", location, "", reason, &value, out)
    }

    pub(super) fn unreadable(
        &mut self,
        record: &CorruptRecord,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        self.unreadable += 1;
        let value =
            json!({"problem": "unreadable", "entry": record.location, "reason": record.reason});
        self.row("unreadable", &record.location, "", &record.reason, &value, out)
    }

    fn row(
        &mut self,
        problem: &str,
        call: &str,
        time: &str,
        detail: &str,
        value: &Value,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        match self.format {
            ReportFormat::Json => out.line(format_args!("{value}")),
            ReportFormat::Text => {
                let row = [problem, call, time, detail].map(|text| escaped(text).to_string());
                self.table.row(row.into(), out)
            }
        }
    }

    /// `others_erased` entries are on record as erased, and of no call that was looked for.
    pub(super) fn summarise(
        mut self,
        others_erased: u64,
        out: &mut Stdout,
    ) -> Result<Status, Failure> {
        let problems = self.differing + self.only_here + self.only_there + self.unreadable;
        match self.format {
            ReportFormat::Json => {
                let summary = json!({"matched": self.matched, "differing": self.differing,
                    "only_here": self.only_here, "only_there": self.only_there, "erased": self.erased,
                    "other_entries_erased": others_erased, "unreadable": self.unreadable});
                out.line(format_args!("{}", json!({ "summary": summary })))?;
            }
            ReportFormat::Text if problems > 0 => self.table.finish(out)?,
            ReportFormat::Text => {}
        }
        let mut summary = format!(
            "{} matched, {} of them with other values, {} only here, {} only there",
            counted(self.matched, "call", "calls"),
            thousands(self.differing),
            thousands(self.only_here),
            thousands(self.only_there),
        );
        if self.erased > 0 {
            summary += &format!(", {} on record as erased", thousands(self.erased));
        }
        if self.only_there > 0 && others_erased > 0 {
            let others = counted(others_erased, "entry is", "entries are");
            summary += &format!(", {others} on record as erased, perhaps of those only there");
        }
        if self.unreadable > 0 {
            summary += &format!(", {} unreadable", thousands(self.unreadable));
        }
        stderr_line(summary);
        Ok(Status::success_if(problems == 0))
    }
}
