//! Whether the checkpoints that are due can be signed.

use std::sync::{Mutex, PoisonError};

use attestry::AuditLogger;

/// Compares the numbers of the store over time: a failure counts until the next checkpoint is signed.
#[derive(Debug, Default)]
pub(crate) struct Signing(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Failures when the newest checkpoint was first seen.
    failed: u64,
    leaves: Option<u64>,
}

impl Signing {
    /// Whether a checkpoint was due after the newest one and could not be signed.
    pub(crate) fn fails(&self, logger: &AuditLogger) -> bool {
        let Some(storage) = logger.metrics().storage else { return false };
        let leaves = storage.last_checkpoint.map(|checkpoint| checkpoint.size);
        self.has_failed(storage.failed_checkpoints, leaves)
    }

    fn has_failed(&self, failed: u64, leaves: Option<u64>) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.leaves != leaves {
            *seen = Seen { failed, leaves };
        }
        failed > seen.failed
    }
}

#[cfg(test)]
mod tests {
    use super::Signing;

    #[test]
    fn failure_counts_until_the_next_checkpoint() {
        let signing = Signing::default();
        assert!(!signing.has_failed(0, None));
        assert!(signing.has_failed(1, None));
        assert!(signing.has_failed(1, None));
        assert!(!signing.has_failed(1, Some(10)));
        assert!(signing.has_failed(2, Some(10)));
        assert!(!signing.has_failed(2, Some(20)));
    }
}
