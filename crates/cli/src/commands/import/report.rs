//! What an import prints: an id or an answer for each line, complaints, and the summary.

use std::io::{self, IsTerminal};
use std::time::Instant;

use indicatif::ProgressBar;
use serde_json::json;

use super::acknowledged::Missing;
use super::prepare::Refused;
use crate::args::ReportFormat;
use crate::commands;
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::text::{counted, escaped, stderr_line, thousands};

/// Complaints on standard error; the others are only counted.
const MAX_COMPLAINTS: u64 = 20;

/// What became of a line.
pub(super) enum Answer<'a> {
    Stored {
        id: &'a str,
    },
    /// An entry with its id was stored before; `differs` unless it is the same.
    Present {
        id: &'a str,
        differs: bool,
    },
    Refused(&'a Refused),
}

pub(super) struct Report<'a> {
    out: &'a mut Stdout,
    format: ReportFormat,
    /// Names of the inputs in messages; the last one is being read.
    names: Vec<String>,
    bar: ProgressBar,
    started: Instant,
    /// Whether standard output is still open.
    printing: bool,
    counts: Counts,
    complaints: u64,
    has_rejects: bool,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) stored: u64,
    pub(super) present: u64,
    pub(super) differing: u64,
    pub(super) refused: u64,
    pub(super) ignored: u64,
}

impl<'a> Report<'a> {
    pub(super) fn new(out: &'a mut Stdout, format: ReportFormat, has_rejects: bool) -> Self {
        let (counts, started) = (Counts::default(), Instant::now());
        let (names, bar) = (Vec::new(), ProgressBar::hidden());
        Self {
            out,
            format,
            names,
            bar,
            started,
            printing: true,
            counts,
            complaints: 0,
            has_rejects,
        }
    }

    /// The next input.
    pub(super) fn begin_input(&mut self, name: String, bar: ProgressBar) {
        self.finish_progress();
        self.names.push(name);
        self.bar = bar;
    }

    /// Number of the input that is being read.
    pub(super) fn input(&self) -> usize {
        self.names.len().saturating_sub(1)
    }

    fn name(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }

    /// Says what was found in the input.
    pub(super) fn note(&self, what: &str) {
        let note = escaped(&format!("{}: {what}", self.name()));
        self.bar.suspend(|| stderr_line(note));
    }

    /// An input that cannot be read, of several.
    pub(super) fn unreadable(&mut self, failure: &Failure) {
        self.counts.refused += 1;
        self.bar.suspend(|| stderr_line(format_args!("error: {}", escaped(failure.message()))));
    }

    /// Spans and log records that are no calls.
    pub(super) fn ignored(&mut self, records: u64) {
        self.counts.ignored += records;
    }

    /// Prints the answers of lines that are durable or refused. The import continues if standard output is
    /// closed.
    pub(super) fn answers<'b>(
        &mut self,
        answers: impl IntoIterator<Item = (u64, Answer<'b>)>,
        end: u64,
    ) -> Result<(), Failure> {
        self.bar.set_position(end);
        // Hide the progress bar while lines are printed to the same terminal.
        if io::stdout().is_terminal() {
            let bar = self.bar.clone();
            return bar.suspend(|| self.print(answers));
        }
        self.print(answers)
    }

    fn print<'b>(
        &mut self,
        answers: impl IntoIterator<Item = (u64, Answer<'b>)>,
    ) -> Result<(), Failure> {
        let answers: Vec<_> = answers.into_iter().collect();
        answers.iter().for_each(|(line, answer)| self.count(*line, answer));
        if self.printing {
            let print = |(line, answer): &(u64, Answer<'_>)| match self.format {
                ReportFormat::Text => self.print_id(answer),
                ReportFormat::Json => self.print_json(*line, answer),
            };
            let printed = answers.iter().try_for_each(print).and_then(|()| self.out.flush());
            self.printing = commands::is_open(printed)?;
        }
        Ok(())
    }

    fn count(&mut self, line: u64, answer: &Answer<'_>) {
        match answer {
            Answer::Stored { .. } => self.counts.stored += 1,
            Answer::Present { id, differs } => {
                self.counts.present += 1;
                if *differs {
                    self.counts.differing += 1;
                    self.complain(
                        line,
                        &format!("warning: another entry with the id {id} is stored; it stays"),
                    );
                }
            }
            Answer::Refused(refused) => {
                self.counts.refused += 1;
                self.complain(line, &refused.reason);
            }
        }
    }

    fn complain(&mut self, line: u64, reason: &str) {
        self.complaints += 1;
        if self.complaints <= MAX_COMPLAINTS {
            let complaint = escaped(&format!("{}:{line}: {reason}", self.name()));
            self.bar.suspend(|| stderr_line(complaint));
        }
    }

    fn print_id(&mut self, answer: &Answer<'_>) -> Result<(), Failure> {
        match answer {
            Answer::Stored { id } | Answer::Present { id, .. } => {
                self.out.bytes(id.as_bytes())?;
                self.out.bytes(b"\n")
            }
            Answer::Refused(_) => Ok(()),
        }
    }

    fn print_json(&mut self, line: u64, answer: &Answer<'_>) -> Result<(), Failure> {
        let answer = match answer {
            Answer::Stored { id } => json!({ "line": line, "id": id }),
            Answer::Present { id, differs: false } => {
                json!({ "line": line, "id": id, "present": true })
            }
            Answer::Present { id, differs: true } => {
                json!({ "line": line, "id": id, "present": true, "differs": true })
            }
            Answer::Refused(refused) => json!({ "line": line, "error": refused.reason }),
        };
        self.out.line(format_args!("{answer}"))
    }

    pub(super) fn finish_progress(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints what is missing at the end, if anything is.
    pub(super) fn missing(&self, missing: &Missing) {
        if missing.entries > 0 {
            let entries = counted(missing.entries, "entry is", "entries are");
            let range = |(input, first, last): &(usize, u64, u64)| match self.names.len() {
                1 => format!("{first} to {last}"),
                _ => format!("{}:{first} to {last}", escaped(&self.names[*input])),
            };
            let lines: Vec<_> = missing.lines.iter().map(range).collect();
            stderr_line(format_args!(
                "error: {entries} not in the store any more: lines {}; another program removed or erased \
                 them after they were stored; import the file again",
                lines.join(", ")
            ));
        }
    }

    /// Prints the summary of an import that reached the end of its input.
    pub(super) fn summary(&self, missing: &Missing) -> Status {
        self.omitted();
        let Counts { present, differing, refused, ignored, .. } = self.counts;
        let bad_lines = counted(refused, "bad line", "bad lines");
        let seconds = self.started.elapsed().as_secs_f64();
        let differing = match differing {
            0 => String::new(),
            differing => format!(" ({} with other values)", thousands(differing)),
        };
        let ignored = match ignored {
            0 => String::new(),
            ignored => format!(
                ", {} not of a model",
                counted(ignored, "span or log record", "spans and log records")
            ),
        };
        stderr_line(format_args!(
            "imported {}, {bad_lines}, {} present already{differing}{ignored}, {seconds:.1} s",
            self.stored(missing),
            thousands(present),
        ));
        Status::success_if(refused == 0 && self.counts.differing == 0 && missing.entries == 0)
    }

    /// Prints the summary of an import that was `stopped` or `interrupted` at `position`.
    pub(super) fn stopped(&self, what: &str, missing: &Missing, position: &str) {
        self.omitted();
        let present = match self.counts.present {
            0 => String::new(),
            present => format!(", {} present already", thousands(present)),
        };
        stderr_line(format_args!("{what}: imported {}{present}, {position}", self.stored(missing)));
    }

    fn stored(&self, missing: &Missing) -> String {
        counted(self.counts.stored.saturating_sub(missing.entries), "interaction", "interactions")
    }

    fn omitted(&self) {
        let more = self.complaints.saturating_sub(MAX_COMPLAINTS);
        if more > 0 {
            let lines = counted(more, "more complaint", "more complaints");
            let hint = if self.has_rejects { "" } else { "; --rejects FILE keeps refused lines" };
            stderr_line(format_args!("{}: {lines} not shown{hint}", escaped(self.name())));
        }
    }
}
