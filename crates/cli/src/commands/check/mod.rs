//! `attestry check`: reads every entry and reports corrupt records, duplicate ids and content that does
//! not match its hash.

mod against;
mod files;
mod problems;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use attestry::file::Quarantined;
use attestry::{AuditEntry, AuditError, AuditLogger, Query, StorageError};
use futures_util::StreamExt;

use self::against::{Comparison, Expected};
use self::problems::{Problem, Problems};
use super::quarantine;
use crate::args::{CheckArgs, StoreArgs};
use crate::errors::{Failure, Status, with_sources};
use crate::input::Input;
use crate::output::Stdout;
use crate::store::Settings;
use crate::text::{counted, escaped, thousands};

pub(super) async fn run(
    args: CheckArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let encryption = store.encryption()?;
    let input = args.against.as_deref().map(Input::open).transpose()?;
    let logger = store.open_reader(Settings { encryption, ..Settings::default() }).await?;
    let mut problems = Problems::new(args.format);
    files::report(&logger, &mut problems, out)?;
    let mut expected = match input {
        Some(input) => Some(Expected::read(input, &mut problems, out).await?),
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
    let comparison = expected.map(|expected| expected.finish(&mut problems, out)).transpose()?;
    let quarantined = quarantine::files(&logger).await?;
    let status = Status::success_if(problems.count() == 0);
    check.summarise(problems, comparison, &quarantined, out)?;
    logger.close().await?;
    Ok(status)
}

/// Progress of the check. Memory grows by 8 to 16 bytes per entry, for its id.
#[derive(Default)]
struct Check {
    entries: u64,
    /// Contents compared with their hash.
    checked: u64,
    /// Contents that are encrypted, or hashed, with a key that is not given.
    unchecked: u64,
    /// Hashes of the ids. In a store of ten million entries, two ids share a hash with a probability of
    /// 1/370,000. The hash is keyed at random, so that collisions cannot be prepared.
    ids: HashSet<u64>,
    hasher: RandomState,
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
        for error in self.content(entry, logger) {
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
        quarantined: &[Quarantined],
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
                    "not_compared": comparison.keyed,
                })),
                "quarantine": quarantined.iter().map(quarantine::as_json).collect::<Vec<_>>(),
                "problems": problems.into_list(),
            }));
        }
        for Quarantined { path, length, since, .. } in quarantined {
            let path = path.display().to_string();
            let bytes = counted(*length, "byte", "bytes");
            out.line(format_args!(
                "{}: a torn write of {bytes}, in quarantine since {since}; see `attestry quarantine --help`",
                escaped(&path)
            ))?;
        }
        let mut summary = format!(
            "{} read, {} checked",
            counted(self.entries, "entry", "entries"),
            counted(self.checked, "stored content", "stored contents"),
        );
        if self.unchecked > 0 {
            summary += &format!(", {} not checked (no key)", thousands(self.unchecked));
        }
        if let Some(Comparison { file, interactions, missing, keyed }) = comparison {
            let recorded = interactions - missing;
            let interactions = counted(interactions, "interaction", "interactions");
            let file = escaped(&file);
            summary += &format!(", {} of {interactions} of {file} recorded", thousands(recorded));
            if keyed > 0 {
                let keyed = counted(keyed, "entry", "entries");
                summary += &format!(", {keyed} not compared (no hash key)");
            }
        }
        let found = match problems.count() {
            0 => "no problems".into(),
            count => counted(count, "problem", "problems"),
        };
        out.line(format_args!("{summary}: {found}"))
    }
}
