//! The builder of a logger, and its settings.

use std::fmt;
use std::sync::Arc;

use attestry_core::{AuditEntry, IdScheme, StorageBackend, StorageError};
#[cfg(feature = "encryption")]
use attestry_crypto::EncryptionManager;

use crate::{AuditLogger, ContentHash};

/// Builds an [`AuditLogger`].
///
/// | setting | default |
/// | --- | --- |
/// | [`store_content`](Self::store_content) | `false`: hashes only |
/// | `encryption` | none: stored content is plain |
/// | [`retention_days`](Self::retention_days) | 365 |
/// | [`content_hash`](Self::content_hash) | SHA-256 |
/// | [`id_scheme`](Self::id_scheme) | random UUIDs, version 4 |
/// | [`failure_policy`](Self::failure_policy) | fail closed: a failure is returned to the caller |
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct AuditLoggerBuilder<S> {
    pub(crate) storage: S,
    pub(crate) policy: Policy,
}

#[derive(Debug, Clone)]
pub(crate) struct Policy {
    #[cfg(feature = "encryption")]
    pub(crate) encryption: Option<EncryptionManager>,
    pub(crate) store_content: bool,
    pub(crate) retention_days: u32,
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
            retention_days: 365,
            content_hash: ContentHash::default(),
            id_scheme: IdScheme::default(),
            failure_policy: FailurePolicy::default(),
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
    /// [`write`](StorageBackend::write) is idempotent, so storing them later is safe.
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

/// The default settings without a storage; see [`with_storage`](AuditLoggerBuilder::with_storage).
impl Default for AuditLoggerBuilder<()> {
    fn default() -> Self {
        Self::new(())
    }
}

impl<S> AuditLoggerBuilder<S> {
    pub(crate) fn new(storage: S) -> Self {
        Self { storage, policy: Policy::default() }
    }

    /// Encrypts stored content with `manager`. Without [`store_content`](Self::store_content) there is
    /// no content to encrypt, and the manager only decrypts.
    #[cfg(feature = "encryption")]
    pub fn encryption(mut self, manager: EncryptionManager) -> Self {
        self.policy.encryption = Some(manager);
        self
    }

    /// Whether to store the content itself in addition to its hash. Default: false.
    pub fn store_content(mut self, store: bool) -> Self {
        self.policy.store_content = store;
        self
    }

    /// The retention period in days of 24 hours, after which
    /// [`cleanup_expired`](AuditLogger::cleanup_expired) deletes an entry. Default: 365.
    pub fn retention_days(mut self, days: u32) -> Self {
        self.policy.retention_days = days;
        self
    }

    /// The hash of content. Default: SHA-256.
    pub fn content_hash(mut self, hash: ContentHash) -> Self {
        self.policy.content_hash = hash;
        self
    }

    /// The scheme of new ids. Default: random UUIDs (version 4).
    pub fn id_scheme(mut self, scheme: IdScheme) -> Self {
        self.policy.id_scheme = scheme;
        self
    }

    /// Whether `log` fails closed or open when the storage backend fails. Default: closed.
    pub fn failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.policy.failure_policy = policy;
        self
    }

    /// The same settings with another storage, for code that opens the storage last.
    pub fn with_storage<T>(self, storage: T) -> AuditLoggerBuilder<T> {
        AuditLoggerBuilder { storage, policy: self.policy }
    }
}

impl<S: StorageBackend + 'static> AuditLoggerBuilder<S> {
    /// Builds the logger.
    #[must_use]
    pub fn build(self) -> AuditLogger {
        AuditLogger::from_parts(Arc::new(self.storage), self.policy)
    }
}
