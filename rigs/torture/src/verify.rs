//! Compares a folder with the expected state: as raw files and through the backend.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use attestry_core::{AuditEntry, EntryId, Query, StorageBackend, StorageError, Timestamp, line};
use attestry_file::{FileStorage, RecoveryReport};
use futures_util::StreamExt;

use crate::evidence;
use crate::ledger::{Fate, Ledger};
use crate::outcome::{Result, chain, failed};
use crate::sample;

/// The entry expected under an id; `None` accepts any.
pub(crate) type Expected = fn(&str) -> Result<Option<AuditEntry>>;

/// Exceptions that a test allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) expected: Expected,
    /// Allows corrupt lines: a file system that loses sectors of an unsynced write leaves them.
    pub(crate) damage: bool,
    /// Allows an open store to hide an entry in unknown state that is still in its file, after an erasure that failed
    /// midway.
    pub(crate) hidden: bool,
    /// Allows equal entries of one id: what may be lost since a sync of its segment has failed is appended again.
    pub(crate) repeated: bool,
}

/// For entries made by [`sample`].
pub(crate) const SAMPLED: Rules =
    Rules { expected: sampled, damage: false, hidden: false, repeated: false };
/// For entries made by the `attestry` program, whose ids are random.
pub(crate) const PROGRAM: Rules =
    Rules { expected: anything, damage: false, hidden: false, repeated: false };

fn sampled(id: &str) -> Result<Option<AuditEntry>> {
    sample::entry(id).map(Some)
}

fn anything(_: &str) -> Result<Option<AuditEntry>> {
    Ok(None)
}

/// The content of a folder.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) ids: Vec<String>,
    pub(crate) torn_tails: usize,
    pub(crate) erasures_finished: usize,
    /// Corrupt lines; an error unless allowed.
    pub(crate) damaged: usize,
}

/// Opens the folder and compares it with the ledger, twice: the second open must have nothing to repair.
pub(crate) async fn folder(path: &Path, ledger: &Ledger, rules: Rules) -> Result<Found> {
    let with_evidence = evidence::exists(path) || !ledger.signed.is_empty();
    let mut builder = FileStorage::builder(path).rotation_size_bytes(1 << 20);
    if with_evidence {
        builder = evidence::enable(builder, |_| ())?;
    }
    let storage = builder.open().await?;
    let report = storage.recovery().clone();
    coherent(&report)?;
    let mut found = contents(path, &storage, ledger, rules).await?;
    if with_evidence {
        let lines = (found.ids.len() + found.damaged) as u64;
        evidence::holds(&storage, &ledger.signed, lines).await?;
    }
    storage.close().await?;
    drop(storage);
    found.torn_tails = report.torn_tails.len();
    found.erasures_finished = report.erasures_finished;

    let again = FileStorage::builder(path).rotation_size_bytes(1 << 20).open().await?;
    if !again.recovery().is_clean() {
        return failed(format!("a second open repairs more: {}", again.recovery()));
    }
    if again.count().await? != (found.ids.len() + found.damaged) as u64 {
        return failed("a second open has another count");
    }
    again.close().await?;
    Ok(found)
}

/// Compares an open store with the ledger.
pub(crate) async fn contents(
    path: &Path,
    storage: &FileStorage,
    ledger: &Ledger,
    rules: Rules,
) -> Result<Found> {
    let raw = raw_lines(path, rules.damage)?;
    let mut ids: BTreeMap<&str, Vec<&AuditEntry>> = BTreeMap::new();
    for entry in &raw.entries {
        ids.entry(entry.id.as_str()).or_default().push(entry);
        if (rules.expected)(entry.id.as_str())?.is_some_and(|expected| expected != *entry) {
            return failed(format!("entry {} differs from what was written", entry.id));
        }
    }
    for (id, entries) in &ids {
        let alike = entries.iter().all(|entry| *entry == entries[0]);
        match ledger.fate(id) {
            _ if entries.len() > 1 && !(rules.repeated && alike) => {
                return failed(format!("entry {id} is present {} times", entries.len()));
            }
            None => return failed(format!("entry {id} is present but was never written")),
            Some(Fate::Absent) => return failed(format!("entry {id} is present but was erased")),
            Some(Fate::Present | Fate::Unknown) => {}
        }
    }
    if let Some(id) = ledger.with_fate(Fate::Present).find(|id| !ids.contains_key(id)) {
        return failed(format!("entry {id} was acknowledged but is absent"));
    }
    through_backend(storage, &raw, ledger, rules).await?;
    let ids = raw.entries.iter().map(|entry| entry.id.as_str().to_owned()).collect();
    Ok(Found { ids, damaged: raw.damaged, ..Found::default() })
}

/// The backend must return what is in the files, in order.
async fn through_backend(
    storage: &FileStorage,
    raw: &Raw,
    ledger: &Ledger,
    rules: Rules,
) -> Result {
    let mut scanned: Vec<AuditEntry> = Vec::new();
    let mut damaged = 0;
    let mut stream = storage.scan(Query::new());
    while let Some(next) = stream.next().await {
        match next {
            Ok(entry) => scanned.push(entry),
            Err(StorageError::Corrupt(_)) => damaged += 1,
            Err(error) => return Err(error.into()),
        }
    }
    if damaged != raw.damaged {
        return failed(format!(
            "a scan reports {damaged} corrupt lines, the files have {}",
            raw.damaged
        ));
    }
    if !scanned.is_sorted_by_key(|entry| entry.timestamp) {
        return failed("a scan is not sorted");
    }
    let mut sorted = raw.entries.clone();
    if rules.hidden {
        let seen: BTreeSet<&str> = scanned.iter().map(|entry| entry.id.as_str()).collect();
        let unknown = |id: &str| ledger.fate(id) == Some(Fate::Unknown);
        sorted.retain(|entry| seen.contains(entry.id.as_str()) || !unknown(entry.id.as_str()));
    }
    sorted.sort_by_key(|entry| entry.timestamp); // stable, so ties stay in write order
    if let Some(at) =
        (0..sorted.len().max(scanned.len())).find(|&i| sorted.get(i) != scanned.get(i))
    {
        return failed(format!(
            "a scan differs from the files at {at}: {} entries scanned, {} in the files",
            scanned.len(),
            sorted.len()
        ));
    }
    let count = storage.count().await?;
    if count != (sorted.len() + raw.damaged) as u64 {
        return failed(format!("count returns {count}, the files have {}", sorted.len()));
    }
    if raw.damaged == 0 && storage.list_entries(Timestamp::MIN, Timestamp::MAX).await? != scanned {
        return failed("list_entries differs from scan");
    }
    let step = (sorted.len() / 50).max(1);
    for entry in sorted.iter().step_by(step).chain(sorted.last()) {
        if storage.read(&entry.id).await?.as_ref() != Some(entry) {
            return failed(format!("read does not find {}", entry.id));
        }
    }
    for id in ledger.with_fate(Fate::Absent).take(50) {
        if storage.read(&EntryId::new_unchecked(id)).await?.is_some() {
            return failed(format!("read finds {id}, which was erased"));
        }
    }
    Ok(())
}

/// The recovery report must match the files.
fn coherent(report: &RecoveryReport) -> Result {
    for torn in &report.torn_tails {
        let moved = torn.quarantined.as_ref().map(fs::metadata).transpose()?;
        if moved.is_some_and(|moved| moved.len() != torn.length) {
            return failed(format!("the quarantine lacks part of the torn tail: {report}"));
        }
        let length = fs::metadata(&torn.segment)?.len();
        let left = if torn.quarantined.is_some() { 0 } else { torn.length + 1 };
        if length != torn.offset + left {
            return failed(format!(
                "{length} bytes are left, which contradicts the report: {report}"
            ));
        }
    }
    if !report.is_clean() && report.to_string().is_empty() {
        return failed(format!("the report has no text: {report:?}"));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Raw {
    /// In the order written.
    entries: Vec<AuditEntry>,
    damaged: usize,
}

/// All lines of all segments. Each must be complete, and an entry or blank.
fn raw_lines(path: &Path, damage: bool) -> Result<Raw> {
    let mut raw = Raw::default();
    for segment in segments(path)? {
        let bytes = fs::read(&segment)?;
        if !bytes.is_empty() && bytes.last() != Some(&b'\n') {
            return failed(format!("{} ends within a line", segment.display()));
        }
        for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if line.iter().all(|&byte| byte == b' ') {
                continue;
            }
            match line::decode(line) {
                Ok(entry) => raw.entries.push(entry),
                Err(_) if damage => raw.damaged += 1,
                Err(error) => {
                    let line = number + 1;
                    return failed(format!("{}:{line}: {}", segment.display(), chain(&error)));
                }
            }
        }
    }
    Ok(raw)
}

/// The segments in write order: by day, by number, the active one last. A leftover temporary file is an error.
fn segments(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in fs::read_dir(path)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if let Some(rest) = name.strip_prefix("audit_").and_then(|n| n.strip_suffix(".jsonl")) {
            let (day, number) = rest.split_once('_').unwrap_or((rest, ""));
            let number = if number.is_empty() { u64::MAX } else { number.parse()? };
            found.push((day.to_owned(), number, path.join(&name)));
        } else if name != ".attestry" {
            return failed(format!("{name} was left in the folder"));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, _, path)| path).collect())
}

/// Runs [`folder`] on a runtime of its own.
pub(crate) fn blocking(path: &Path, ledger: &Ledger, rules: Rules) -> Result<Found> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(folder(path, ledger, rules))
}
