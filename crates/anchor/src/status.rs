//! What is held elsewhere, for metrics and reports.

use std::time::Duration;

use attestry_core::Timestamp;
use attestry_file::{AnchorRecord, HeldCheckpoint};
use serde::Serialize;

/// The state of an anchor at one moment, for metrics and health checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AnchorStatus {
    /// The name of the anchor.
    pub anchor: String,
    /// The newest checkpoint that it has; `None` if it has none that is known here.
    pub held: Option<HeldCheckpoint>,
    /// Whether the latest checkpoint has yet to be handed over, and is due.
    pub pending: bool,
    /// Checkpoints handed over since the dispatcher started.
    pub handed_over: u64,
    /// Failed attempts since the dispatcher started.
    pub failed: u64,
    /// Failed attempts since the last success, also before the start.
    pub failures_in_a_row: u64,
    /// Why the last attempt failed, or what it lacked although it succeeded.
    pub last_error: Option<String>,
    /// Whether the anchor contradicts the store: it has seen a larger or another tree of this log. This
    /// needs a person: the store was rolled back or altered, or its key signs elsewhere.
    pub contradiction: bool,
}

impl AnchorStatus {
    pub(crate) fn new(record: AnchorRecord) -> Self {
        Self {
            anchor: record.anchor,
            held: record.held,
            pending: false,
            handed_over: 0,
            failed: 0,
            failures_in_a_row: record.failures,
            last_error: record.last_error,
            contradiction: false,
        }
    }

    /// How long ago the checkpoint that the anchor has was the newest one; `None` if it has none.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let held = self.held.as_ref()?;
        let micros = Timestamp::now().unix_micros() - held.at.unix_micros();
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }
}

/// The state of all anchors of a store, for metrics. Serialises to JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AnchorMetrics {
    /// How long ago the newest checkpoint that any anchor has was the newest one of the store, in seconds. What was
    /// logged since may be rewritten by the owner of disk and key. `None` if no anchor has one.
    pub held_age_seconds: Option<u64>,
    /// The anchors.
    pub anchors: Vec<AnchorStatus>,
}

impl AnchorMetrics {
    pub(crate) fn new(anchors: Vec<AnchorStatus>) -> Self {
        let ages = anchors.iter().filter_map(AnchorStatus::age);
        Self { held_age_seconds: ages.min().map(|age| age.as_secs()), anchors }
    }
}

/// The newest checkpoint of the log `origin` that any anchor has, and its name. What was logged after
/// it can still be rewritten by the owner of disk and key.
#[must_use]
pub fn held_elsewhere<'a>(
    held: impl IntoIterator<Item = (&'a str, &'a HeldCheckpoint)>,
    origin: &str,
) -> Option<(&'a str, &'a HeldCheckpoint)> {
    let of_log = held.into_iter().filter(|(_, held)| held.origin == origin);
    of_log.max_by_key(|(_, held)| (held.leaves, held.at))
}
