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

/// One note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// These entries are about to be written.
    Write(Vec<String>),
    /// They were.
    Wrote(Vec<String>),
    /// This entry is about to be erased.
    Erase(String),
    /// It was.
    Erased(String),
    /// Everything until this moment is about to be erased. The name tells calls apart.
    Expire(String, Timestamp),
    /// It was.
    Expired(String),
    /// No worker is left, and these entries are there, no others.
    Settled(Vec<String>),
    /// A call was refused, as it had to be.
    Refused(String),
    /// This checkpoint was handed out.
    Signed(String),
    /// A reader has seen the whole store, and it was right.
    Read,
    /// Something went wrong.
    Problem(String),
}

/// Where notes go.
#[derive(Debug)]
pub(crate) enum Notes {
    /// To a file that others append to as well.
    File(File),
    /// To the standard output, where a trace of the process shows them.
    Stdout,
}

impl Notes {
    pub(crate) fn append_to(path: &Path) -> Result<Self> {
        Ok(Self::File(OpenOptions::new().create(true).append(true).open(path)?))
    }

    /// Puts a note down, with one call.
    pub(crate) fn put(&self, note: &Note) -> io::Result<()> {
        let line = format!("\n{};\n", note.text());
        match self {
            Self::File(file) => (&mut &*file).write_all(line.as_bytes()),
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(line.as_bytes())?;
                out.flush()
            }
        }
    }
}

impl Note {
    fn text(&self) -> String {
        match self {
            Self::Write(ids) => format!("write {}", ids.join(" ")),
            Self::Wrote(ids) => format!("wrote {}", ids.join(" ")),
            Self::Erase(id) => format!("erase {id}"),
            Self::Erased(id) => format!("erased {id}"),
            Self::Expire(name, until) => format!("expire {name} {until}"),
            Self::Expired(name) => format!("expired {name}"),
            Self::Settled(ids) => format!("settled {}", ids.join(" ")),
            Self::Refused(text) => format!("refused {}", text.replace('\n', " ")),
            Self::Signed(note) => format!("signed {}", note.replace('\n', "\t")),
            Self::Read => "read".to_owned(),
            Self::Problem(text) => format!("problem {}", text.replace('\n', " ")),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
        let ids = || rest.split_whitespace().map(str::to_owned).collect();
        Ok(match kind {
            "write" => Self::Write(ids()),
            "wrote" => Self::Wrote(ids()),
            "erase" => Self::Erase(rest.to_owned()),
            "erased" => Self::Erased(rest.to_owned()),
            "expire" => match rest.split_once(' ').map(|(name, until)| (name, until.parse())) {
                Some((name, Ok(until))) => Self::Expire(name.to_owned(), until),
                _ => return failed(format!("not a note: {text:?}")),
            },
            "expired" => Self::Expired(rest.to_owned()),
            "settled" => Self::Settled(ids()),
            "refused" => Self::Refused(rest.to_owned()),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_cut_short_does_not_count() {
        let text =
            "\nwrite w1-1 w1-2;\n\nwrote w1-1 w\nerase w1-1;\n\nexpire a 2026-01-01T00:00:00;\n";
        let notes = Note::all(text).unwrap();
        assert_eq!(notes.len(), 3);
        assert_eq!(notes[0], Note::Write(vec!["w1-1".into(), "w1-2".into()]));
        assert_eq!(Note::all(&format!("{};", notes[2].text())).unwrap(), notes[2..]);
    }
}
