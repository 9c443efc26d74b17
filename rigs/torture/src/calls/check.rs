//! Compares a store with what was noted about its calls.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use attestry_core::{AuditEntry, Phase, Query, StorageBackend, metadata};
use attestry_logger::AuditLogger;
use futures_util::TryStreamExt;

use super::CallWorkerArgs;
use super::journal::Notes;
use crate::evidence;
use crate::outcome::{Result, Stop, failed};

/// Calls that are stored.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) calls: usize,
    pub(super) ended: usize,
    pub(super) open: usize,
    /// Ends that were acknowledged.
    pub(super) acknowledged: usize,
}

pub(super) fn blocking(args: &CallWorkerArgs) -> Result<Found> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(check(args))
}

async fn check(args: &CallWorkerArgs) -> Result<Found> {
    let notes = Notes::read(&args.journal)?;
    let storage = Arc::new(args.open().await?);
    let logger = AuditLogger::builder(Arc::clone(&storage)).build();
    let entries: Vec<AuditEntry> = logger.query(Query::new()).try_collect().await?;
    let stored = Stored::new(&entries)?;
    stored.agree_with(&notes)?;

    let open: Vec<AuditEntry> = logger.open_calls(Duration::ZERO).try_collect().await?;
    let open: HashSet<&str> = open.iter().map(|entry| entry.id.as_str()).collect();
    let without_end =
        stored.starts.iter().copied().filter(|start| !stored.ends.contains_key(start)).collect();
    if open != without_end {
        return failed(format!("{open:?} are reported as open, and {without_end:?} are"));
    }
    let latest = logger.query(Query::new().phase(Phase::Latest));
    let latest: Vec<AuditEntry> = latest.try_collect().await?;
    if latest.len() != stored.starts.len() {
        return failed(format!("{} calls are counted as {}", stored.starts.len(), latest.len()));
    }
    if args.evidence {
        evidence::holds(&storage, &[], entries.len() as u64).await?;
    }
    storage.close().await?;
    Ok(Found {
        calls: stored.starts.len(),
        ended: stored.ends.len(),
        open: open.len(),
        acknowledged: notes.ended.len(),
    })
}

struct Stored<'a> {
    starts: HashSet<&'a str>,
    /// By the id of the start.
    ends: HashMap<&'a str, &'a AuditEntry>,
}

impl<'a> Stored<'a> {
    /// Fails if an entry is neither start nor end, or if a call has two ends.
    fn new(entries: &'a [AuditEntry]) -> Result<Self> {
        let mut stored = Self { starts: HashSet::new(), ends: HashMap::new() };
        for entry in entries {
            let is_new = match (entry.phase(), entry.call()) {
                (Some(metadata::PHASE_START), None) => stored.starts.insert(entry.id.as_str()),
                (Some(metadata::PHASE_END), Some(call)) => {
                    stored.ends.insert(call, entry).is_none()
                }
                _ => return failed(format!("{} is no entry of a call", entry.id)),
            };
            if !is_new {
                return failed(format!("{} is the second of its call", entry.id));
            }
        }
        Ok(stored)
    }

    fn agree_with(&self, notes: &Notes) -> Result {
        let unknown = self.starts.iter().find(|start| !notes.starting.contains(**start));
        if let Some(start) = unknown {
            return failed(format!("{start} is stored, and no process started it"));
        }
        if let Some(call) = self.ends.keys().find(|call| !self.starts.contains(**call)) {
            return failed(format!("{call} has an end and no start"));
        }
        for start in &notes.started {
            if !self.starts.contains(start.as_str()) {
                return failed(format!("the start of {start} was acknowledged and is not stored"));
            }
            if notes.is_closed(start)? && !self.ends.contains_key(start.as_str()) {
                return failed(format!(
                    "{start} has no end although its process closed the logger"
                ));
            }
        }
        for (start, acknowledged) in &notes.ended {
            let end = self.ends.get(start.as_str()).ok_or_else(|| {
                Stop::Failed(format!("the end of {start} was acknowledged and is not stored"))
            })?;
            let found = (end.id.as_str(), end.outcome(), end.output_hash.as_str());
            let expected = (
                acknowledged.id.as_str(),
                acknowledged.outcome.as_str(),
                acknowledged.output_hash.as_str(),
            );
            if found != expected {
                return failed(format!("the end of {start} is {found:?}, and was {expected:?}"));
            }
        }
        Ok(())
    }
}
