//! What a logger has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use attestry_core::event;
use attestry_core::metrics::{LastError, StorageMetrics};
use serde::Serialize;

use crate::AuditError;

/// What a logger and its clones have done since it was built; returned by
/// [`AuditLogger::metrics`](crate::AuditLogger::metrics).
///
/// Counts what was recorded with the logger's methods: [`log`](crate::AuditLogger::log),
/// [`log_batch`](crate::AuditLogger::log_batch), [`start`](crate::AuditLogger::start) and the end of a
/// [`Call`](crate::Call). Numbers are read one after the other while the logger works, so they may differ
/// by what happens meanwhile. Serialises as JSON with the names of the fields, and holds no content.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct LoggerMetrics {
    /// Entries that were recorded; start and end entries count as one each.
    pub entries: u64,
    /// Entries that were not recorded and whose caller got the error.
    pub refused: u64,
    /// Entries that were not recorded and were passed to the handler of
    /// [`FailurePolicy::FailOpen`](crate::FailurePolicy::FailOpen).
    pub failed_open: u64,
    /// Calls that have started and not ended.
    pub open_calls: u64,
    /// The last failure to record an entry.
    pub last_error: Option<LastError>,
    /// The metrics of the storage backend, which other loggers may use too; `None` if it counts nothing.
    pub storage: Option<StorageMetrics>,
}

/// The counters of a logger and its clones.
#[derive(Debug, Default)]
pub(crate) struct LoggerCounters {
    /// Entries whose call succeeded. It succeeds also if the failure is passed to the handler.
    accepted: AtomicU64,
    refused: AtomicU64,
    failed_open: AtomicU64,
    open_calls: AtomicU64,
    last_error: Mutex<Option<LastError>>,
}

impl LoggerCounters {
    /// Counts a call that records `entries` entries by its `result`, and returns the result.
    pub(crate) fn count<T, E: Into<AuditError>>(
        &self,
        entries: usize,
        result: Result<T, E>,
    ) -> Result<T, AuditError> {
        match result {
            Ok(recorded) => {
                self.accepted.fetch_add(entries as u64, Ordering::Relaxed);
                Ok(recorded)
            }
            Err(error) => {
                let error = error.into();
                self.refused.fetch_add(entries as u64, Ordering::Relaxed);
                event!(WARN, entries = entries, kind = error.kind().as_str(), "entries refused");
                self.set_last_error(LastError::now(error.kind()));
                Err(error)
            }
        }
    }

    /// `entries` entries of a call that succeeds were passed to the handler because of `error`.
    pub(crate) fn failed_open(&self, entries: usize, error: LastError) {
        self.failed_open.fetch_add(entries as u64, Ordering::Relaxed);
        event!(WARN, entries = entries, kind = error.kind.as_str(), "entries failed open");
        self.set_last_error(error);
    }

    pub(crate) fn call_started(&self) {
        self.open_calls.fetch_add(1, Ordering::Relaxed);
        event!(DEBUG, "call started");
    }

    pub(crate) fn call_ended(&self) {
        self.open_calls.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, storage: Option<StorageMetrics>) -> LoggerMetrics {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Before `accepted`, which grows after it.
        let failed_open = load(&self.failed_open);
        LoggerMetrics {
            entries: load(&self.accepted).saturating_sub(failed_open),
            refused: load(&self.refused),
            failed_open,
            open_calls: load(&self.open_calls),
            last_error: *self.last_error.lock().unwrap_or_else(PoisonError::into_inner),
            storage,
        }
    }

    fn set_last_error(&self, error: LastError) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}
