//! Calls without an end, as `check` and `verify` report them.

use std::time::Duration;

use attestry::{AuditLogger, EntryId, StorageError, Timestamp};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::errors::Failure;
use crate::output::Stdout;
use crate::text::{counted, escaped};
use crate::times::Zone;

/// Calls that are named; the others are counted.
const MAX_LISTED: usize = 1_000;

pub(super) struct OpenCalls {
    grace: Duration,
    count: u64,
    /// The oldest ones.
    listed: Vec<(EntryId, Timestamp)>,
}

impl OpenCalls {
    pub(super) async fn find(logger: &AuditLogger, grace: Duration) -> Result<Self, Failure> {
        let mut found = Self { grace, count: 0, listed: Vec::new() };
        let mut open = logger.open_calls(grace);
        while let Some(start) = open.next().await {
            match start {
                Ok(start) => {
                    found.count += 1;
                    if found.listed.len() < MAX_LISTED {
                        found.listed.push((start.id, start.timestamp));
                    }
                }
                // Reported by the command itself.
                Err(StorageError::Corrupt(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    pub(super) fn as_json(&self) -> Value {
        let calls = self.listed.iter();
        json!({
            "grace_seconds": self.grace.as_secs(),
            "count": self.count,
            "calls": calls.map(|(id, at)| json!({ "id": id, "started": at })).collect::<Vec<_>>(),
        })
    }

    /// A line for each call, and one with their number; nothing if there is none.
    pub(super) fn print(&self, out: &mut Stdout) -> Result<(), Failure> {
        let zone = Zone::default();
        for (id, at) in &self.listed {
            let started = zone.show(*at);
            let id = escaped(id.as_str());
            out.line(format_args!("entry {id}: a call without an end, started at {started}"))?;
        }
        if self.count == 0 {
            return Ok(());
        }
        let unlisted = match self.count - self.listed.len() as u64 {
            0 => String::new(),
            _ => "; `attestry list --phase open` prints all".to_owned(),
        };
        let calls = counted(self.count, "call has", "calls have");
        out.line(format_args!("{calls} no end: killed, or still running{unlisted}"))
    }
}
