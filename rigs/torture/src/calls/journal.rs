//! What processes note about their calls, outside of the store.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use crate::outcome::{Result, Stop, failed};

/// Appends notes. Each is one system call, so that a killed process leaves whole lines.
#[derive(Debug)]
pub(super) struct Journal(File);

impl Journal {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self(File::options().create(true).append(true).open(path)?))
    }

    /// The call is about to start.
    pub(super) fn starting(&self, id: &str) -> Result {
        self.put(&["starting", id])
    }

    /// Its start was acknowledged.
    pub(super) fn started(&self, id: &str) -> Result {
        self.put(&["started", id])
    }

    /// Its end was acknowledged.
    pub(super) fn ended(&self, id: &str, end: &AcknowledgedEnd) -> Result {
        self.put(&["ended", id, &end.id, &end.outcome, &end.output_hash])
    }

    /// Process `number` closed its logger.
    pub(super) fn closed(&self, number: usize) -> Result {
        self.put(&["closed", &number.to_string()])
    }

    fn put(&self, words: &[&str]) -> Result {
        (&self.0).write_all((words.join(" ") + "\n").as_bytes())?;
        Ok(())
    }
}

/// An end entry as it was acknowledged.
#[derive(Debug)]
pub(super) struct AcknowledgedEnd {
    pub(super) id: String,
    pub(super) outcome: String,
    pub(super) output_hash: String,
}

/// All notes of a folder.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) starting: HashSet<String>,
    pub(super) started: HashSet<String>,
    /// By the id of the start.
    pub(super) ended: HashMap<String, AcknowledgedEnd>,
    closed: HashSet<String>,
}

impl Notes {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut notes = Self::default();
        if !path.exists() {
            return Ok(notes); // killed before it opened the journal
        }
        for line in fs::read_to_string(path)?.lines() {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            match words.as_slice() {
                [kind, id] if kind == "starting" => drop(notes.starting.insert(id.clone())),
                [kind, id] if kind == "started" => drop(notes.started.insert(id.clone())),
                [kind, number] if kind == "closed" => drop(notes.closed.insert(number.clone())),
                [kind, start, id, outcome, output_hash] if kind == "ended" => {
                    let [id, outcome, output_hash] = [id, outcome, output_hash].map(Clone::clone);
                    let end = AcknowledgedEnd { id, outcome, output_hash };
                    notes.ended.insert(start.clone(), end);
                }
                _ => return failed(format!("{line:?} is no note")),
            }
        }
        Ok(notes)
    }

    /// Whether the process of the call `id` closed its logger.
    pub(super) fn is_closed(&self, id: &str) -> Result<bool> {
        let process = id.split_once('-').and_then(|(process, _)| process.strip_prefix('p'));
        let process = process.ok_or_else(|| Stop::Failed(format!("{id:?} is no call")))?;
        Ok(self.closed.contains(process))
    }
}
