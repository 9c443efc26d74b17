//! What workers put down about their calls: before each that they are about to make it, after each
//! that it returned.
//!
//! Notes go to a file that all workers append to, so they stand in the order in which they were
//! made, and outlive a worker that is killed. Where a worker is killed while it makes one, the note
//! lacks its end and does not count: a call that was not announced in full was not made.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use attestry_core::Timestamp;

use crate::outcome::{Result, failed};

/// One note. A call has a name that no other has, for there may be several about one entry: it begins
/// with the number of the worker that makes it, see [`call`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// This call is about to write these entries.
    Write(String, Vec<String>),
    /// This one is about to erase an entry.
    Erase(String, String),
    /// This one is about to erase everything until this moment.
    Expire(String, Timestamp),
    /// The call of this name returned, and all is well.
    Done(String),
    /// The worker of this number was killed: what it had begun and not finished goes no further.
    Died(usize),
    /// No worker is left, and these entries are there, no others.
    Settled(Vec<String>),
    /// A call was refused, as it had to be.
    Refused(String),
    /// Another entry under this id, which is taken, was refused.
    Differed(String),
    /// This checkpoint was handed out.
    Signed(String),
    /// A reader has seen the whole store, and it was right.
    Read,
    /// Something went wrong.
    Problem(String),
}

/// The name of a worker's `count`th call.
pub(crate) fn call(worker: usize, count: usize) -> String {
    format!("{worker}-{count}")
}

/// Whether the call of this name is the worker's.
pub(crate) fn is_of(call: &str, worker: usize) -> bool {
    call.split_once('-').is_some_and(|(number, _)| number == worker.to_string())
}

/// Where notes go.
#[derive(Debug)]
pub(crate) struct Notes {
    /// To a file that others append to as well.
    file: File,
    /// And to the standard output, where a trace of the process shows them.
    echo: bool,
}

impl Notes {
    pub(crate) fn append_to(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, echo: false })
    }

    /// These notes, and the standard output.
    pub(crate) fn echoed(self) -> Self {
        Self { echo: true, ..self }
    }

    /// Puts a note down, with one call.
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
    /// As it is put down: behind a line break, since the note before may lack its end.
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

    /// The whole notes in `text`, in order.
    pub(crate) fn all(text: &str) -> Result<Vec<Self>> {
        text.lines().filter_map(|line| line.strip_suffix(';')).map(Self::parse).collect()
    }

    /// Whether it tells that a call returned, or what came of it.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Signed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_cut_short_does_not_count() {
        let text = "\nwrite 1-0 w1-1 w1-2;\n\ndone 1-\nerase 1-1 w1-1;\n\nexpire 1-2 2026-01-01T00:00:00;\n";
        let notes = Note::all(text).unwrap();
        assert_eq!(notes.len(), 3);
        assert_eq!(notes[0], Note::Write("1-0".into(), vec!["w1-1".into(), "w1-2".into()]));
        assert_eq!(Note::all(&notes[2].line()).unwrap(), notes[2..]);
    }

    #[test]
    fn a_call_belongs_to_its_worker() {
        assert!(is_of(&call(12, 3), 12));
        assert!(!is_of(&call(12, 3), 1));
    }
}
