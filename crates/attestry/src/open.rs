//! Opens a logger on a path or a URL.

use std::fmt;
use std::pin::Pin;

use attestry_core::IdScheme;
use attestry_logger::{AuditLogger, AuditLoggerBuilder, ContentHash, FailurePolicy};

use crate::OpenError;
use crate::error::InvalidUrl;
use crate::location::Location;
use crate::settings::StoreSettings;

/// Opens a logger on the audit folder at `path`, which is created if it is missing; the
/// specification's `AuditLogger("/path")`. Await the result.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("audit");
/// let logger = attestry::open(path).store_content(true).retention_days(90).await?;
/// # logger.close().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "file")]
pub fn open(path: impl Into<std::path::PathBuf>) -> OpenOptions {
    OpenOptions::new(Ok((Location::Folder(path.into()), StoreSettings::default())))
}

/// Opens a logger on the store that `url` names. Await the result.
///
/// | URL | store | options after `?`, joined by `&` |
/// | --- | --- | --- |
/// | `file:///var/log/audit` | a folder of JSONL files | `rotation_size_mb=100`, `durability=sync` or `buffered`, `indexed_metadata_keys=user.id,ticket` |
/// | `memory:` | in memory | `max_entries=1000` |
/// | `s3://bucket/prefix` | an S3 bucket (feature `s3`) | `region=eu-central-1`, `endpoint=http://localhost:8333`, `path_style=true`, `insecure=true` for plain HTTP to another machine |
///
/// Every URL also takes `read_only=true`. The default prefix of an S3 URL is `audit/`; a lone `/` selects
/// the whole bucket. Credentials are taken from the environment, never from the URL. A `%XX` in the path
/// is decoded. An invalid URL is reported when the result is awaited.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let logger = attestry::open_url("memory:?max_entries=1000").await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_url(url: &str) -> OpenOptions {
    OpenOptions::new(Location::parse(url))
}

/// Settings of a logger and its store. Awaiting opens the logger.
///
/// The settings of the logger are those of [`AuditLoggerBuilder`], with the same defaults. Settings of
/// file stores are errors for other stores ([`OpenError::Unsupported`]). A setting here replaces the
/// option of the URL.
#[must_use = "nothing is opened until this is awaited"]
pub struct OpenOptions {
    location: Result<Location, InvalidUrl>,
    logger: AuditLoggerBuilder<()>,
    store: StoreSettings,
}

impl OpenOptions {
    fn new(store: Result<(Location, StoreSettings), InvalidUrl>) -> Self {
        let (location, store) = match store {
            Ok((location, settings)) => (Ok(location), settings),
            Err(error) => (Err(error), StoreSettings::default()),
        };
        Self { location, logger: AuditLoggerBuilder::default(), store }
    }

    fn logger(
        mut self,
        set: impl FnOnce(AuditLoggerBuilder<()>) -> AuditLoggerBuilder<()>,
    ) -> Self {
        self.logger = set(self.logger);
        self
    }

    /// Encrypts stored content; see `AuditLoggerBuilder::encryption`.
    #[cfg(feature = "encryption")]
    pub fn encryption(self, manager: attestry_crypto::EncryptionManager) -> Self {
        self.logger(|logger| logger.encryption(manager))
    }

    /// Whether to store the content itself; see [`AuditLoggerBuilder::store_content`].
    pub fn store_content(self, store: bool) -> Self {
        self.logger(|logger| logger.store_content(store))
    }

    /// The retention period in days; see [`AuditLoggerBuilder::retention_days`].
    pub fn retention_days(self, days: u32) -> Self {
        self.logger(|logger| logger.retention_days(days))
    }

    /// Whether a cleanup may delete more than half of the entries; see
    /// [`AuditLoggerBuilder::allow_large_cleanup`].
    pub fn allow_large_cleanup(self, allow: bool) -> Self {
        self.logger(|logger| logger.allow_large_cleanup(allow))
    }

    /// The hash of content; see [`AuditLoggerBuilder::content_hash`].
    pub fn content_hash(self, hash: ContentHash) -> Self {
        self.logger(|logger| logger.content_hash(hash))
    }

    /// The scheme of new ids; see [`AuditLoggerBuilder::id_scheme`].
    pub fn id_scheme(self, scheme: IdScheme) -> Self {
        self.logger(|logger| logger.id_scheme(scheme))
    }

    /// Whether `log` fails closed or open; see [`AuditLoggerBuilder::failure_policy`].
    pub fn failure_policy(self, policy: FailurePolicy) -> Self {
        self.logger(|logger| logger.failure_policy(policy))
    }

    /// Opens the store read-only: every change fails with
    /// [`StorageError::ReadOnly`](crate::StorageError::ReadOnly). A file store also creates, locks and
    /// recovers nothing; other stores are opened behind [`ReadOnly`](crate::backend::ReadOnly).
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.store.read_only = read_only;
        self
    }

    /// The size in MiB at which a segment is rotated. File stores only.
    #[cfg(feature = "file")]
    pub fn rotation_size_mb(mut self, megabytes: u64) -> Self {
        self.store.file.rotation_size_mb = Some(megabytes);
        self
    }

    /// Which failures an acknowledged write survives. File stores only.
    #[cfg(feature = "file")]
    pub fn durability(mut self, durability: attestry_file::Durability) -> Self {
        self.store.file.durability = Some(durability);
        self
    }

    /// The metadata keys whose texts are indexed, so that queries by one of them are fast; see
    /// [`FileStorageBuilder::indexed_metadata_keys`](attestry_file::FileStorageBuilder::indexed_metadata_keys).
    /// File stores only.
    ///
    /// ```
    /// # fn example(path: std::path::PathBuf) {
    /// let options = attestry::open(path).indexed_metadata_keys(["user.id", "ticket"]);
    /// # }
    /// ```
    #[cfg(feature = "file")]
    pub fn indexed_metadata_keys<K: Into<String>>(
        mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        let keys = keys.into_iter().map(Into::into).collect();
        self.store.file.indexed_metadata_keys = Some(keys);
        self
    }

    /// Calls `callback` with the recovery report if opening repaired anything: a torn line that was
    /// quarantined, an erasure that was finished. Worth a line in the service's log. File stores only.
    ///
    /// ```
    /// # fn example(path: std::path::PathBuf) {
    /// let options = attestry::open(path).on_recovery(|report| eprintln!("audit log: {report}"));
    /// # }
    /// ```
    #[cfg(feature = "file")]
    pub fn on_recovery(
        mut self,
        callback: impl FnOnce(&attestry_file::RecoveryReport) + Send + 'static,
    ) -> Self {
        self.store.file.on_recovery = Some(Box::new(callback));
        self
    }

    /// Calls `callback` with the progress while segments without an index are read, so that opening a
    /// large store from elsewhere can show it; see
    /// [`FileStorageBuilder::on_indexing`](attestry_file::FileStorageBuilder::on_indexing). File stores
    /// only.
    ///
    /// ```
    /// # fn example(path: std::path::PathBuf) {
    /// let options = attestry::open(path).on_indexing(|progress| {
    ///     eprintln!("read {} of {} bytes", progress.bytes_read, progress.bytes_total);
    /// });
    /// # }
    /// ```
    #[cfg(feature = "file")]
    pub fn on_indexing(
        mut self,
        callback: impl Fn(attestry_file::IndexingProgress) + Send + Sync + 'static,
    ) -> Self {
        self.store.file.on_indexing = Some(Box::new(callback));
        self
    }

    /// Keeps evidence; see
    /// [`FileStorageBuilder::evidence`](attestry_file::FileStorageBuilder::evidence). The opened logger
    /// signs checkpoints and gives proofs through
    /// [`evidence()`](crate::evidence::EvidenceExt::evidence). File stores only.
    ///
    /// ```
    /// # async fn example(path: std::path::PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    /// use attestry::evidence::{EvidenceExt, EvidenceOptions, SigningKey};
    ///
    /// let key: SigningKey = std::fs::read_to_string("signing.key")?.trim().parse()?;
    /// let log = attestry::open(path).evidence(EvidenceOptions::new(key)).await?;
    /// let checkpoint = log.evidence()?.checkpoint().await?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "evidence")]
    pub fn evidence(mut self, evidence: attestry_file::EvidenceOptions) -> Self {
        self.store.file.evidence = Some(Box::new(evidence));
        self
    }

    /// The key that signs erasure records, if it is not that of the log; see
    /// [`FileStorageBuilder::erasure_key`](attestry_file::FileStorageBuilder::erasure_key). File stores
    /// only.
    #[cfg(feature = "evidence")]
    pub fn erasure_key(mut self, key: attestry_evidence::SigningKey) -> Self {
        self.store.file.erasure_key = Some(Box::new(key));
        self
    }

    /// The name in erasure records; see
    /// [`FileStorageBuilder::erased_by`](attestry_file::FileStorageBuilder::erased_by). File stores
    /// only.
    #[cfg(feature = "evidence")]
    pub fn erased_by(mut self, name: impl Into<String>) -> Self {
        self.store.file.erased_by = Some(name.into());
        self
    }

    /// The reason in erasure records; see
    /// [`FileStorageBuilder::erase_reason`](attestry_file::FileStorageBuilder::erase_reason). File
    /// stores only.
    #[cfg(feature = "evidence")]
    pub fn erase_reason(mut self, reason: impl Into<String>) -> Self {
        self.store.file.erase_reason = Some(reason.into());
        self
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("location", &self.location)
            .field("read_only", &self.store.read_only)
            .field("logger", &self.logger)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSettings").field("read_only", &self.read_only).finish_non_exhaustive()
    }
}

impl IntoFuture for OpenOptions {
    type Output = Result<AuditLogger, OpenError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let storage = self.location?.open(self.store).await?;
            Ok(self.logger.with_storage(storage).build())
        })
    }
}
