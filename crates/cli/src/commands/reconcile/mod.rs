//! `attestry reconcile`: compares the entries with another record of the same calls.

mod calls;
mod difference;
mod report;

use std::time::Duration;

use attestry::evidence::{Erasures, EvidenceError, EvidenceExt};
use attestry::{AuditLogger, Phase, Query, StorageError};
use futures_util::StreamExt;

use self::calls::{Calls, Here};
use self::report::Report;
use crate::args::{ReconcileArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::paths;
use crate::store::Settings;

/// Entries with equal contents are of one call if their times are no further apart.
const WINDOW: Duration = Duration::from_secs(600);

pub(super) async fn run(
    args: ReconcileArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let paths = paths::expand(&args.against)?;
    let logger = store.open_reader(Settings::default()).await?;
    let mut report = Report::new(args.format);
    let refused = |location: &str, reason: &str| report.refused(location, reason, out);
    let mut calls = Calls::read(&paths, args.from.format(), store.content_hash()?, refused).await?;
    let Some((first, last)) = calls.time_range() else {
        return Err(Failure::new("there are no calls in the files"));
    };
    // Of the entries here, only those of the time of the calls there can be missing there.
    let since = first.saturating_sub(WINDOW);
    let here = Query::range(since, last.saturating_add(WINDOW)).phase(Phase::Latest);
    let mut entries = logger.query(here);
    let mut unmatched = Vec::new();
    while let Some(entry) = entries.next().await {
        match entry {
            Ok(entry) => match calls.take_by_identity(&entry) {
                Some(call) => report.matched(&call, &Here::of(&entry), out)?,
                None => unmatched.push(Here::of(&entry)),
            },
            Err(StorageError::Corrupt(record)) => report.unreadable(&record, out)?,
            Err(error) => return Err(error.into()),
        }
    }
    drop(entries);
    // Only then by contents: another entry may have had the same contents, and the identity.
    for entry in unmatched {
        match calls.take_by_contents(&entry, WINDOW) {
            Some(call) => report.matched(&call, &entry, out)?,
            // At the edges, the call may be in another file.
            None if (first..=last).contains(&entry.timestamp) => report.only_here(&entry, out)?,
            None => {}
        }
    }
    let missing = calls.into_rest();
    let erasures = erasures_of(&logger, &missing).await?;
    for call in &missing {
        let is_erased = call.leaves.iter().any(|leaf| erasures.found.contains_key(leaf));
        report.only_there(call, is_erased, out)?;
    }
    let others = erasures.total.saturating_sub(erasures.found.len() as u64);
    let status = report.summarise(others, out)?;
    logger.close().await?;
    Ok(status)
}

/// What the store has on record about the erasure of the calls that have no entry; nothing if it keeps no records.
async fn erasures_of(logger: &AuditLogger, missing: &[calls::Call]) -> Result<Erasures, Failure> {
    let (Ok(storage), false) = (logger.evidence(), missing.is_empty()) else {
        return Ok(Erasures::default());
    };
    let leaves = missing.iter().flat_map(|call| call.leaves.iter().copied()).collect();
    match storage.erasures_of(leaves).await {
        Err(EvidenceError::NotKept { .. }) => Ok(Erasures::default()),
        erasures => Ok(erasures?),
    }
}
