//! The builder of a logger.

use std::sync::Arc;

use attestry_core::{IdScheme, StorageBackend};
#[cfg(feature = "encryption")]
use attestry_crypto::EncryptionManager;

use crate::policy::Policy;
use crate::{AuditLogger, ContentHash, FailurePolicy};

/// Builds an [`AuditLogger`].
///
/// | setting | default |
/// | --- | --- |
/// | [`store_content`](Self::store_content) | `false`: hashes only |
/// | `encryption` | none: stored content is plain |
/// | [`max_content_bytes`](Self::max_content_bytes) | 8 MiB |
/// | [`retention_days`](Self::retention_days) | 365 |
/// | [`allow_large_cleanup`](Self::allow_large_cleanup) | `false` |
/// | [`content_hash`](Self::content_hash) | SHA-256 |
/// | [`id_scheme`](Self::id_scheme) | random UUIDs, version 4 |
/// | [`failure_policy`](Self::failure_policy) | fail closed: a failure is returned to the caller |
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct AuditLoggerBuilder<S> {
    storage: S,
    policy: Policy,
}

/// The default settings without a storage; see [`with_storage`](AuditLoggerBuilder::with_storage).
impl Default for AuditLoggerBuilder<()> {
    fn default() -> Self {
        Self::new(())
    }
}

impl AuditLogger {
    /// A builder of a logger that stores in `storage`, with the specification's defaults.
    pub fn builder<S: StorageBackend + 'static>(storage: S) -> AuditLoggerBuilder<S> {
        AuditLoggerBuilder::new(storage)
    }
}

impl<S> AuditLoggerBuilder<S> {
    fn new(storage: S) -> Self {
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

    /// The maximum length in bytes of an output that an open [`Call`](crate::Call) keeps in memory and
    /// stores. Of a longer output the start is stored; the metadata `attestry.truncated` then names it,
    /// and `attestry.output.bytes` and `attestry.output.hash` are length and hash of the whole output.
    /// Default: 8 MiB, which fits a line also when it is encrypted or consists of escapes.
    ///
    /// Has no effect on [`log`](AuditLogger::log), which stores content whole or fails.
    pub fn max_content_bytes(mut self, bytes: usize) -> Self {
        self.policy.max_content_bytes = bytes;
        self
    }

    /// The retention period in days of 24 hours, after which
    /// [`cleanup_expired`](AuditLogger::cleanup_expired) deletes an entry. Default: 365.
    pub fn retention_days(mut self, days: u32) -> Self {
        self.policy.retention_days = days;
        self
    }

    /// Whether [`cleanup_expired`](AuditLogger::cleanup_expired) may delete more than half of the entries.
    /// Default: false, since a wrong clock makes everything look expired.
    pub fn allow_large_cleanup(mut self, allow: bool) -> Self {
        self.policy.allow_large_cleanup = allow;
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
