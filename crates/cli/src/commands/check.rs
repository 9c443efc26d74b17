//! `attestry check`: reads the whole store and names everything that is wrong in it.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use attestry::{AuditEntry, AuditError, AuditLogger, Query, StorageError};
use futures_util::StreamExt;

use crate::args::{CheckArgs, StoreArgs};
use crate::commands::recorded::{Expected, Wanted};
use crate::errors::{Failure, Status, one_line};
use crate::output::Stdout;
use crate::pipeline::Input;
use crate::problems::{Problem, Problems};
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
    let mut expected = match input {
        Some(input) => Some(Expected::read(input, &mut problems, out).await?),
        None => None,
    };
    let mut check = Check::default();
    let mut entries = logger.query(Query::new());
    while let Some(entry) = entries.next().await {
        match entry {
            Ok(entry) => {
                check.entry(&entry, &logger, &mut problems, out)?;
                if let Some(expected) = &mut expected {
                    expected.found(&entry);
                }
            }
            Err(StorageError::Corrupt(record)) => {
                let place = match record.offset {
                    Some(offset) => format!("{}:{offset}", record.location),
                    None => record.location,
                };
                problems.add(Problem { kind: "corrupt", place, reason: record.reason }, out)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    drop(entries);
    let wanted = match expected {
        Some(expected) => Some(expected.finish(&mut problems, out)?),
        None => None,
    };
    let status = Status::done_if(problems.count() == 0);
    check.summarise(problems, wanted, out)?;
    logger.close().await?;
    Ok(status)
}

/// What was seen so far. Memory grows by 8 to 16 bytes with each entry, for its id.
#[derive(Default)]
struct Check {
    entries: u64,
    checked: u64,
    unchecked: u64,
    /// Hashes of the ids. Two ids share one by chance in one of 370,000 stores of ten million
    /// entries; the hash is random, so that nobody can arrange for it.
    ids: HashSet<u64>,
    hasher: RandomState,
}

impl Check {
    fn entry(
        &mut self,
        entry: &AuditEntry,
        logger: &AuditLogger,
        problems: &mut Problems,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        self.entries += 1;
        if !self.ids.insert(self.hasher.hash_one(&entry.id)) {
            let reason = format!("the id is there more than once, again at {}", entry.timestamp);
            let place = format!("entry {}", entry.id);
            problems.add(Problem { kind: "duplicate", place, reason }, out)?;
        }
        for error in self.content(entry, logger) {
            let place = format!("entry {}", entry.id);
            problems.add(Problem { kind: "content", place, reason: one_line(&error) }, out)?;
        }
        Ok(())
    }

    /// Checks what is stored of the content, and returns what is wrong with it.
    fn content(&mut self, entry: &AuditEntry, logger: &AuditLogger) -> Vec<AuditError> {
        let stored = [&entry.input_content, &entry.output_content].map(Option::is_some);
        let contents = stored.iter().map(|&stored| u64::from(stored)).sum::<u64>();
        match logger.decrypt_entry(entry) {
            Ok(_) => {
                self.checked += contents;
                Vec::new()
            }
            Err(error) if contents == 2 => {
                // Which of the two? The one may be wrong and the other not to be checked.
                let input = AuditEntry { output_content: None, ..entry.clone() };
                let output = AuditEntry { input_content: None, ..entry.clone() };
                let mut errors: Vec<_> =
                    [input, output].iter().flat_map(|half| self.content(half, logger)).collect();
                // Together they tell an altered content from a wrong key.
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
        wanted: Option<Wanted>,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        if problems.as_json() {
            return out.json(&serde_json::json!({
                "entries": self.entries,
                "contents": { "checked": self.checked, "not_checked": self.unchecked },
                "against": wanted.map(|wanted| serde_json::json!({
                    "file": wanted.file,
                    "interactions": wanted.interactions,
                    "missing": wanted.missing,
                    "not_compared": wanted.keyed,
                })),
                "problems": problems.into_list(),
            }));
        }
        let mut summary = format!(
            "{} read, {} checked",
            counted(self.entries, "entry", "entries"),
            counted(self.checked, "stored content", "stored contents"),
        );
        if self.unchecked > 0 {
            summary += &format!(", {} not for lack of the key", thousands(self.unchecked));
        }
        if let Some(wanted) = wanted {
            let recorded = wanted.interactions - wanted.missing;
            let interactions = counted(wanted.interactions, "interaction", "interactions");
            let file = escaped(&wanted.file);
            summary += &format!(", {} of {interactions} of {file} recorded", thousands(recorded));
            if wanted.keyed > 0 {
                let keyed = counted(wanted.keyed, "entry", "entries");
                summary += &format!(", {keyed} not compared for lack of the hash key");
            }
        }
        let found = match problems.count() {
            0 => "no problems".into(),
            count => counted(count, "problem", "problems"),
        };
        out.line(format_args!("{summary}: {found}"))
    }
}
