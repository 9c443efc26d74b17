//! The log of all calls: a worker notes each call before it makes it and after it returned.
//!
//! All workers append to one file, so notes are in order and outlive a killed worker. A note without its end, from a
//! worker killed while writing it, is ignored: a call that was not fully noted was not made.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use attestry_core::Timestamp;

use crate::outcome::{Result, failed};

/// One note. Calls have unique names, because several calls may concern one entry; see [`call`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// The call will write these entries.
    Write(String, Vec<String>),
    /// The call will erase this entry.
    Erase(String, String),
    /// The call will erase everything up to this time.
    Expire(String, Timestamp),
    /// The call succeeded.
    Done(String),
    /// The worker was killed: its pending calls make no further progress.
    Died(usize),
    /// No worker is running, and exactly these entries are present.
    Settled(Vec<String>),
    /// A call was refused, as expected.
    Refused(String),
    /// A conflicting entry under this id was refused.
    Differed(String),
    /// This checkpoint was issued.
    Signed(String),
    /// A reader read the whole store without a problem.
    Read,
    /// A worker failed.
    Problem(String),
}

/// The name of a worker's `count`th call; it begins with the worker's number.
pub(crate) fn call(worker: usize, count: usize) -> String {
    format!("{worker}-{count}")
}

/// Whether the worker made this call.
pub(crate) fn is_of(call: &str, worker: usize) -> bool {
    call.split_once('-').is_some_and(|(number, _)| number == worker.to_string())
}

/// A writer of notes.
#[derive(Debug)]
pub(crate) struct Notes {
    /// Shared by all workers.
    file: File,
    /// Also write to standard output, where strace records it.
    echo: bool,
}

impl Notes {
    pub(crate) fn append_to(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, echo: false })
    }

    /// Also writes to standard output.
    pub(crate) fn echoed(self) -> Self {
        Self { echo: true, ..self }
    }

    /// Writes a note with one system call.
    pub(crate) fn put(&self, note: &Note) -> io::Result<()> {
        let line = note.line();
        (&self.file).write_all(line.as_bytes())?;
        if self.echo {
            let mut out = io::stdout().lock();
            out.write_all(line.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }
}

impl Note {
    /// Begins with a line break, because the note before may lack its end.
    pub(crate) fn line(&self) -> String {
        format!("\n{};\n", self.text())
    }

    fn text(&self) -> String {
        match self {
            Self::Write(call, ids) => format!("write {call} {}", ids.join(" ")),
            Self::Erase(call, id) => format!("erase {call} {id}"),
            Self::Expire(call, until) => format!("expire {call} {until}"),
            Self::Done(call) => format!("done {call}"),
            Self::Died(worker) => format!("died {worker}"),
            Self::Settled(ids) => format!("settled {}", ids.join(" ")),
            Self::Refused(text) => format!("refused {}", text.replace('\n', " ")),
            Self::Differed(id) => format!("differed {id}"),
            Self::Signed(note) => format!("signed {}", note.replace('\n', "\t")),
            Self::Read => "read".to_owned(),
            Self::Problem(text) => format!("problem {}", text.replace('\n', " ")),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (call, of) = rest.split_once(' ').unwrap_or((rest, ""));
        let ids = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let call = call.to_owned();
        Ok(match kind {
            "write" => Self::Write(call, ids(of)),
            "erase" => Self::Erase(call, of.to_owned()),
            "expire" => match of.parse() {
                Ok(until) => Self::Expire(call, until),
                Err(_) => return failed(format!("not a note: {text:?}")),
            },
            "done" => Self::Done(call),
            "died" => Self::Died(call.parse()?),
            "settled" => Self::Settled(ids(rest)),
            "refused" => Self::Refused(rest.to_owned()),
            "differed" => Self::Differed(rest.to_owned()),
            "signed" => Self::Signed(rest.replace('\t', "\n")),
            "read" => Self::Read,
            "problem" => Self::Problem(rest.to_owned()),
            _ => return failed(format!("not a note: {text:?}")),
        })
    }

    /// The complete notes in `text`, in order.
    pub(crate) fn all(text: &str) -> Result<Vec<Self>> {
        text.lines().filter_map(|line| line.strip_suffix(';')).map(Self::parse).collect()
    }

    /// Whether it reports the result of a call.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Signed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_notes_are_ignored() {
        let text = "\nwrite 1-0 w1-1 w1-2;\n\ndone 1-\nerase 1-1 w1-1;\n\nexpire 1-2 2026-01-01T00:00:00;\n";
        let notes = Note::all(text).unwrap();
        assert_eq!(notes.len(), 3);
        assert_eq!(notes[0], Note::Write("1-0".into(), vec!["w1-1".into(), "w1-2".into()]));
        assert_eq!(Note::all(&notes[2].line()).unwrap(), notes[2..]);
    }

    #[test]
    fn calls_name_their_worker() {
        assert!(is_of(&call(12, 3), 12));
        assert!(!is_of(&call(12, 3), 1));
    }
}
