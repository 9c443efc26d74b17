//! `attestry check`: reads every entry and reports corrupt records, duplicate ids and content that does
//! not match its hash.

mod against;
mod files;
mod problems;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use attestry::crypto::DecryptError;
use attestry::evidence::{Erasures, EvidenceError, EvidenceExt};
use attestry::file::Quarantined;
use attestry::{AuditEntry, AuditError, AuditLogger, EntryId, Query, StorageError, Timestamp};
use futures_util::StreamExt;

use self::against::{Comparison, Expected};
use self::problems::{Problem, Problems};
use super::open_calls::OpenCalls;
use super::quarantine;
use crate::args::{CheckArgs, StoreArgs};
use crate::errors::{Failure, Status, with_sources};
use crate::input::Input;
use crate::output::Stdout;
use crate::store::Settings;
use crate::text::{counted, escaped, thousands};
use crate::times::Zone;

pub(super) async fn run(
    args: CheckArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let encryption = store.encryption()?;
    let input = args.against.as_deref().map(Input::open_records).transpose()?;
    let logger = store.open_reader(Settings { encryption, ..Settings::default() }).await?;
    let mut problems = Problems::new(args.format);
    files::report(&logger, store, &mut problems, out).await?;
    let mut expected = match input {
        Some(input) => {
            Some(Expected::read(input, &store.content_hash()?, &mut problems, out).await?)
        }
        None => None,
    };
    let mut check = Check::default();
    let mut entries = logger.query(Query::new());
    while let Some(entry) = entries.next().await {
        match entry {
            Ok(entry) => {
                check.add(&entry, &logger, &mut problems, out)?;
                if let Some(expected) = &mut expected {
                    expected.add(&entry);
                }
            }
            Err(StorageError::Corrupt(record)) => {
                let location = match record.offset {
                    Some(offset) => format!("{}:{offset}", record.location),
                    None => record.location,
                };
                problems.add(Problem { kind: "corrupt", location, reason: record.reason }, out)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    drop(entries);
    if let Some(problem) = check.other_key.problem() {
        problems.add(problem, out)?;
    }
    let comparison = match expected {
        Some(expected) => {
            let missing = expected.missing();
            let erasures = erasures_of(&logger, &expected, &missing).await?;
            Some(expected.finish(missing, &erasures, &mut problems, out)?)
        }
        None => None,
    };
    let notes = Notes {
        quarantined: quarantine::files(&logger).await?,
        open_calls: OpenCalls::find(&logger, args.grace.grace).await?,
    };
    let status = Status::success_if(problems.count() == 0);
    check.summarise(problems, comparison, &notes, out)?;
    logger.close().await?;
    Ok(status)
}

/// What the store has on record about the erasure of the missing lines; nothing if it keeps no records.
async fn erasures_of(
    logger: &AuditLogger,
    expected: &Expected,
    missing: &[u64],
) -> Result<Erasures, Failure> {
    let (Ok(storage), false) = (logger.evidence(), missing.is_empty()) else {
        return Ok(Erasures::default());
    };
    let lines = missing.iter().filter_map(|number| expected.leaf(*number)).collect();
    match storage.erasures_of(lines).await {
        Err(EvidenceError::NotKept { .. }) => Ok(Erasures::default()),
        erasures => Ok(erasures?),
    }
}

/// What is reported and is no problem.
struct Notes {
    quarantined: Vec<Quarantined>,
    open_calls: OpenCalls,
}

/// Progress of the check. Memory grows by 8 to 16 bytes per entry, for its id.
#[derive(Default)]
struct Check {
    entries: u64,
    /// Contents compared with their hash.
    checked: u64,
    /// Contents that are encrypted, or hashed, with a key, and no key is given.
    unchecked: u64,
    /// Contents that no given key decrypts.
    other_key: OtherKey,
    /// Hashes of the ids. In a store of ten million entries, two ids share a hash with a probability of
    /// 1/370,000. The hash is keyed at random, so that collisions cannot be prepared.
    ids: HashSet<u64>,
    hasher: RandomState,
}

/// Contents that were made with a key that is not given, as after a rotation. Only verification
/// against the tree could distinguish them from contents that were altered.
#[derive(Default)]
struct OtherKey {
    contents: u64,
    entries: u64,
    /// The first and the last entry.
    span: Option<[(EntryId, Timestamp); 2]>,
}

impl OtherKey {
    fn add(&mut self, entry: &AuditEntry, contents: u64) {
        let this = (entry.id.clone(), entry.timestamp);
        self.contents += contents;
        self.entries += 1;
        self.span = Some(match self.span.take() {
            Some([first, _]) => [first, this],
            None => [this.clone(), this],
        });
    }

    /// One problem for all of them.
    fn problem(&self) -> Option<Problem> {
        let [(first, since), (last, until)] = self.span.as_ref()?;
        let zone = Zone::default();
        let contents = counted(self.contents, "content", "contents");
        let entries = counted(self.entries, "entry", "entries");
        let reason = format!(
            "{contents} of {entries} made with a key that is not given, or altered, from {first} of {} \
             to {last} of {}; give all keys that were used, one per line of the key file",
            zone.show(*since),
            zone.show(*until)
        );
        Some(Problem { kind: "other-key", location: "encrypted content".to_owned(), reason })
    }
}

impl Check {
    fn add(
        &mut self,
        entry: &AuditEntry,
        logger: &AuditLogger,
        problems: &mut Problems,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        self.entries += 1;
        if !self.ids.insert(self.hasher.hash_one(&entry.id)) {
            let reason = format!("duplicate id, again with timestamp {}", entry.timestamp);
            let location = format!("entry {}", entry.id);
            problems.add(Problem { kind: "duplicate", location, reason }, out)?;
        }
        let errors = self.content(entry, logger);
        let (other_key, errors): (Vec<_>, Vec<_>) = errors
            .into_iter()
            .partition(|error| matches!(error, AuditError::Decrypt(DecryptError::NotAuthentic)));
        if !other_key.is_empty() {
            self.checked -= other_key.len() as u64;
            self.other_key.add(entry, other_key.len() as u64);
        }
        for error in errors {
            let location = format!("entry {}", entry.id);
            problems
                .add(Problem { kind: "content", location, reason: with_sources(&error) }, out)?;
        }
        Ok(())
    }

    /// Compares the stored content with its hashes.
    fn content(&mut self, entry: &AuditEntry, logger: &AuditLogger) -> Vec<AuditError> {
        let stored = [&entry.input_content, &entry.output_content].map(Option::is_some);
        let contents = stored.iter().map(|&stored| u64::from(stored)).sum::<u64>();
        match logger.decrypt_entry(entry) {
            Ok(_) => {
                self.checked += contents;
                Vec::new()
            }
            Err(error) if contents == 2 => {
                // Check each alone: one may be wrong while the other has no key.
                let input = AuditEntry { output_content: None, ..entry.clone() };
                let output = AuditEntry { input_content: None, ..entry.clone() };
                let mut errors: Vec<_> =
                    [input, output].iter().flat_map(|half| self.content(half, logger)).collect();
                // Only both together distinguish altered content from a wrong key.
                if matches!(error, AuditError::Altered { .. }) && errors.len() == 1 {
                    errors = vec![error];
                }
                errors
            }
            Err(AuditError::NoEncryption | AuditError::NoHashKey { .. }) => {
                self.unchecked += contents;
                Vec::new()
            }
            Err(error) => {
                self.checked += contents;
                vec![error]
            }
        }
    }

    fn summarise(
        &self,
        problems: Problems,
        comparison: Option<Comparison>,
        notes: &Notes,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        if problems.as_json() {
            return out.json(&serde_json::json!({
                "entries": self.entries,
                "contents": { "checked": self.checked, "not_checked": self.unchecked },
                "against": comparison.map(|comparison| serde_json::json!({
                    "file": comparison.file,
                    "interactions": comparison.interactions,
                    "missing": comparison.missing,
                    "erased": comparison.erased,
                    "other_entries_erased": comparison.others_erased,
                    "not_compared": comparison.keyed,
                })),
                "open_calls": notes.open_calls.as_json(),
                "quarantine": notes.quarantined.iter().map(quarantine::as_json).collect::<Vec<_>>(),
                "problems": problems.into_list(),
            }));
        }
        for Quarantined { path, length, since, .. } in &notes.quarantined {
            let path = path.display().to_string();
            let bytes = counted(*length, "byte", "bytes");
            out.line(format_args!(
                "{}: a torn write of {bytes}, in quarantine since {since}; see `attestry quarantine --help`",
                escaped(&path)
            ))?;
        }
        notes.open_calls.print(out)?;
        let mut summary = format!(
            "{} read, {} checked",
            counted(self.entries, "entry", "entries"),
            counted(self.checked, "stored content", "stored contents"),
        );
        if self.unchecked > 0 {
            summary += &format!(", {} not checked (no key)", thousands(self.unchecked));
        }
        if let Some(comparison) = comparison {
            summary += &comparison.summary();
        }
        let found = match problems.count() {
            0 => "no problems".into(),
            count => counted(count, "problem", "problems"),
        };
        out.line(format_args!("{summary}: {found}"))
    }
}
