//! What others know about the store: timestamps, and checkpoints that were handed over.

use std::path::Path;

use attestry::Timestamp;
use attestry::anchor::{TimestampRoots, held_elsewhere, verify_timestamp};
use attestry::evidence::{OpenedCheckpoint, Policy, Verification};
use attestry::file::FileStorage;
use serde_json::{Value, json};

use crate::errors::{Failure, with_sources};
use crate::policy;
use crate::text::{age, counted, thousands};

/// The verified timestamps of a store.
#[derive(Default)]
pub(super) struct Timestamps {
    /// Checkpoints that existed at a time.
    pub(super) verified: Vec<(OpenedCheckpoint, Timestamp)>,
    /// Files whose timestamp or checkpoint is not accepted, and why.
    pub(super) problems: Vec<(String, String)>,
}

impl Timestamps {
    /// Verifies the stored timestamps with the root certificates in `roots`.
    pub(super) async fn verify(
        store: &FileStorage,
        roots: &Path,
        policy: &Policy,
    ) -> Result<Self, Failure> {
        let pem = policy::read("the root certificates", roots)?;
        let roots = TimestampRoots::from_pem(pem.as_bytes()).map_err(|error| {
            Failure::new(format!("cannot use {}", roots.display())).caused_by(error)
        })?;
        let mut found = Self::default();
        for path in store.timestamps().await? {
            let stored = match store.read_timestamp(&path).await {
                Ok(stored) => stored,
                Err(error) => {
                    found.refuse(&path, with_sources(&error));
                    continue;
                }
            };
            let note = stored.checkpoint.as_str();
            match (policy.open(note), verify_timestamp(&stored.reply, note.as_bytes(), &roots)) {
                (Ok(opened), Ok(timestamp)) => found.verified.push((opened, timestamp.time)),
                (Err(error), _) => found.refuse(&path, with_sources(&error)),
                (_, Err(error)) => found.refuse(&path, with_sources(&error)),
            }
        }
        Ok(found)
    }

    fn refuse(&mut self, path: &Path, reason: String) {
        self.problems.push((path.display().to_string(), reason));
    }

    /// The largest checkpoint, with the earliest time at which it existed.
    fn newest(&self) -> Option<(u64, Timestamp)> {
        let each = self.verified.iter().map(|(opened, at)| (opened.checkpoint().size(), *at));
        each.max_by_key(|(leaves, at)| (*leaves, std::cmp::Reverse(*at)))
    }

    pub(super) fn line(&self) -> Option<String> {
        let (leaves, at) = self.newest()?;
        let timestamps = counted(self.verified.len() as u64, "timestamp", "timestamps");
        let leaves = counted(leaves, "leaf", "leaves");
        Some(format!("{leaves} existed by {at} ({timestamps} verified)"))
    }

    pub(super) fn json(&self) -> Value {
        let problem = |(path, reason): &(String, String)| json!({ "path": path, "reason": reason });
        json!({
            "verified": self.verified.len(),
            "existed": self.newest().map(|(leaves, at)| json!({ "leaves": leaves, "by": at })),
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
        })
    }
}

/// The newest checkpoint that was handed over, by the records in the store.
pub(super) struct Elsewhere {
    anchor: String,
    leaves: u64,
    at: Timestamp,
}

impl Elsewhere {
    /// `None` if no checkpoint was handed over.
    pub(super) async fn find(store: &FileStorage) -> Result<Option<Self>, Failure> {
        let records = store.anchor_records().await?;
        let Some(latest) = store.latest_checkpoint().await? else { return Ok(None) };
        let origin = latest.as_str().lines().next().unwrap_or_default();
        let held =
            records.iter().filter_map(|record| Some((&*record.anchor, record.held.as_ref()?)));
        Ok(held_elsewhere(held, origin).map(|(anchor, held)| Self {
            anchor: anchor.to_owned(),
            leaves: held.leaves,
            at: held.at,
        }))
    }

    /// For the first line of the report. Leaves that no one else has are *soft*: the owner of disk and key
    /// can still rewrite them.
    pub(super) fn summary(&self, result: &Verification, now: Timestamp) -> String {
        if self.leaves >= result.leaves {
            return ", held elsewhere".to_owned();
        }
        format!(
            ", held elsewhere up to leaf {} of {} (soft since {})",
            thousands(self.leaves),
            thousands(result.leaves),
            age(self.at, now)
        )
    }

    pub(super) fn json(&self, now: Timestamp) -> Value {
        let micros = (now.unix_micros() - self.at.unix_micros()).max(0);
        json!({
            "anchor": self.anchor,
            "leaves": self.leaves,
            "at": self.at,
            "age_seconds": micros / 1_000_000,
        })
    }
}
