//! The settings of a logger.

use std::fmt;
use std::sync::Arc;

use attestry_core::metrics::LastError;
use attestry_core::{AuditEntry, IdScheme, StorageError};
#[cfg(feature = "encryption")]
use attestry_crypto::EncryptionManager;

use crate::ContentHash;
use crate::metrics::LoggerCounters;

#[derive(Debug, Clone)]
pub(crate) struct Policy {
    #[cfg(feature = "encryption")]
    pub(crate) encryption: Option<EncryptionManager>,
    pub(crate) store_content: bool,
    pub(crate) max_content_bytes: usize,
    pub(crate) retention_days: u32,
    pub(crate) allow_large_cleanup: bool,
    pub(crate) content_hash: ContentHash,
    pub(crate) id_scheme: IdScheme,
    pub(crate) failure_policy: FailurePolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            #[cfg(feature = "encryption")]
            encryption: None,
            store_content: false,
            max_content_bytes: 8 << 20,
            retention_days: 365,
            allow_large_cleanup: false,
            content_hash: ContentHash::default(),
            id_scheme: IdScheme::default(),
            failure_policy: FailurePolicy::default(),
        }
    }
}

impl Policy {
    pub(crate) fn stores_plain_content(&self) -> bool {
        #[cfg(feature = "encryption")]
        let is_encrypted = self.encryption.is_some();
        #[cfg(not(feature = "encryption"))]
        let is_encrypted = false;
        self.store_content && !is_encrypted
    }

    /// With the same keys, and content.
    pub(crate) fn for_spool(&self) -> Self {
        Self {
            #[cfg(feature = "encryption")]
            encryption: self.encryption.clone(),
            store_content: true,
            content_hash: self.content_hash.clone(),
            ..Self::default()
        }
    }

    /// Applies the failure policy to `error`, why `entries` could not be stored.
    pub(crate) fn handle_failure(
        &self,
        error: StorageError,
        entries: &[AuditEntry],
        counters: &LoggerCounters,
    ) -> Result<(), StorageError> {
        let rejected =
            matches!(error, StorageError::InvalidEntry(_) | StorageError::AlreadyExists { .. });
        match &self.failure_policy {
            FailurePolicy::FailOpen(handler) if !rejected => {
                counters.failed_open(entries.len(), LastError::now(error.kind()));
                entries.iter().for_each(|entry| handler(entry, &error));
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// Whether `log` fails closed or fails open when the storage backend fails.
///
/// An entry that is rejected for its own sake (it is invalid, or its id is taken by a different entry)
/// is always returned as an error: storing it later would not help.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// Fail closed: return the error, so that the caller can refuse to serve what cannot be recorded.
    #[default]
    FailClosed,
    /// Fail open: pass the entry and the error to this function and return the id as if the entry had
    /// been stored. For services that prefer availability to a complete record; the function should at
    /// least count and report the failure. It runs on the task that logs and must not block. After a
    /// failed batch it is called for every entry of the batch, although some may have been stored;
    /// [`write`](attestry_core::StorageBackend::write) is idempotent, so storing them later is safe.
    FailOpen(ErrorHandler),
}

/// Receives an entry that could not be stored, and the error.
pub(crate) type ErrorHandler = Arc<dyn Fn(&AuditEntry, &StorageError) + Send + Sync>;

impl FailurePolicy {
    /// [`FailurePolicy::FailOpen`] with `handler`.
    ///
    /// ```
    /// use attestry_core::ErrorChain;
    /// use attestry_logger::{AuditLogger, FailurePolicy};
    /// # let storage = attestry_memory::MemoryStorage::new();
    /// let logger = AuditLogger::builder(storage)
    ///     .failure_policy(FailurePolicy::fail_open(|entry, error| {
    ///         eprintln!("not recorded: {}: {}", entry.id, ErrorChain(error));
    ///     }))
    ///     .build();
    /// ```
    pub fn fail_open(handler: impl Fn(&AuditEntry, &StorageError) + Send + Sync + 'static) -> Self {
        Self::FailOpen(Arc::new(handler))
    }
}

impl fmt::Debug for FailurePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FailClosed => "FailClosed",
            Self::FailOpen(_) => "FailOpen(..)",
        })
    }
}
