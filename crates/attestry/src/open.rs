//! From a path or a URL to a logger.

use std::fmt;
use std::pin::Pin;

use attestry_core::{IdScheme, StorageError};
use attestry_logger::{AuditLogger, AuditLoggerBuilder, ContentHash, FailurePolicy};

use crate::location::{Callbacks, InvalidUrl, Location};

/// A builder of a logger on the audit folder at `path`, made when it is missing; the
/// specification's `AuditLogger("/path")`. Await it to open the folder.
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
    OpenOptions::at(Ok(Location::folder(path.into())))
}

/// A builder of a logger on the store that `url` names:
///
/// | URL | store | options after `?`, joined by `&` |
/// | --- | --- | --- |
/// | `file:///var/log/audit` | a folder of JSONL files | `rotation_size_mb=100`, `durability=sync` or `buffered`, `read_only=true` |
/// | `memory:` | in memory | `max_entries=1000` |
/// | `s3://bucket/prefix` | a bucket of S3 (feature `s3`) | `region=eu-central-1`, `endpoint=http://localhost:8333`, `path_style=true` |
///
/// Without a prefix an S3 URL means `audit/`; with a lone `/` for it, the whole bucket. Credentials
/// come from the environment, never from the URL.
///
/// A `%XX` in the path is decoded. What is wrong with the URL is said when the builder is awaited.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let logger = attestry::open_url("memory:?max_entries=1000").await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_url(url: &str) -> OpenOptions {
    OpenOptions::at(Location::parse(url))
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is not one of a store.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The storage backend could not be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bucket could not be connected to.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    S3(#[from] attestry_s3::ConnectError),
}

/// A logger that is being opened: settings of the logger and of the store, then `.await`.
///
/// The settings of the logger are those of [`AuditLoggerBuilder`], with the same defaults.
#[must_use = "nothing is opened until this is awaited"]
pub struct OpenOptions {
    location: Result<Location, InvalidUrl>,
    settings: AuditLoggerBuilder<()>,
    callbacks: Callbacks,
    #[cfg(feature = "evidence")]
    evidence: Option<attestry_file::EvidenceOptions>,
}

impl OpenOptions {
    fn at(location: Result<Location, InvalidUrl>) -> Self {
        Self {
            location,
            // The storage comes last; until then the settings stand on a placeholder.
            settings: AuditLoggerBuilder::default(),
            callbacks: Callbacks::default(),
            #[cfg(feature = "evidence")]
            evidence: None,
        }
    }

    fn settings(
        mut self,
        change: impl FnOnce(AuditLoggerBuilder<()>) -> AuditLoggerBuilder<()>,
    ) -> Self {
        self.settings = change(self.settings);
        self
    }

    /// Encrypts stored content; see `AuditLoggerBuilder::encryption`.
    #[cfg(feature = "encryption")]
    pub fn encryption(self, manager: attestry_crypto::EncryptionManager) -> Self {
        self.settings(|settings| settings.encryption(manager))
    }

    /// Whether to store the content itself; see [`AuditLoggerBuilder::store_content`].
    pub fn store_content(self, store: bool) -> Self {
        self.settings(|settings| settings.store_content(store))
    }

    /// Days that entries are kept; see [`AuditLoggerBuilder::retention_days`].
    pub fn retention_days(self, days: u32) -> Self {
        self.settings(|settings| settings.retention_days(days))
    }

    /// How content is hashed; see [`AuditLoggerBuilder::content_hash`].
    pub fn content_hash(self, hash: ContentHash) -> Self {
        self.settings(|settings| settings.content_hash(hash))
    }

    /// How ids are made; see [`AuditLoggerBuilder::id_scheme`].
    pub fn id_scheme(self, scheme: IdScheme) -> Self {
        self.settings(|settings| settings.id_scheme(scheme))
    }

    /// What `log` does when the store fails; see [`AuditLoggerBuilder::failure_policy`].
    pub fn failure_policy(self, choice: FailurePolicy) -> Self {
        self.settings(|settings| settings.failure_policy(choice))
    }

    /// The size in MiB from which a segment is rotated; no effect on a store without segments.
    #[cfg(feature = "file")]
    pub fn rotation_size_mb(mut self, megabytes: u64) -> Self {
        if let Ok(Location::File(options)) = &mut self.location {
            options.rotation_size_mb = Some(megabytes);
        }
        self
    }

    /// What an acknowledged write survives; no effect on a store without files.
    #[cfg(feature = "file")]
    pub fn durability(mut self, durability: attestry_file::Durability) -> Self {
        if let Ok(Location::File(options)) = &mut self.location {
            options.durability = durability;
        }
        self
    }

    /// Calls `tell` with what opening the store had to mend, if anything: a torn line that was set
    /// aside, an erasure that was finished. Worth a line in the service's log.
    ///
    /// ```
    /// # fn example(path: std::path::PathBuf) {
    /// let opening = attestry::open(path).on_recovery(|report| eprintln!("audit log: {report}"));
    /// # }
    /// ```
    #[cfg(feature = "file")]
    pub fn on_recovery(
        mut self,
        tell: impl FnOnce(&attestry_file::RecoveryReport) + Send + 'static,
    ) -> Self {
        self.callbacks.recovery = Some(Box::new(tell));
        self
    }

    /// Calls `tell` while segments are read because they have no index yet, so that opening a large
    /// store from elsewhere can show how far it is; see
    /// [`FileStorageBuilder::on_indexing`](attestry_file::FileStorageBuilder::on_indexing).
    ///
    /// ```
    /// # fn example(path: std::path::PathBuf) {
    /// let opening = attestry::open(path).on_indexing(|progress| {
    ///     eprintln!("read {} of {} bytes", progress.bytes_read, progress.bytes_total);
    /// });
    /// # }
    /// ```
    #[cfg(feature = "file")]
    pub fn on_indexing(
        mut self,
        tell: impl Fn(attestry_file::IndexingProgress) + Send + Sync + 'static,
    ) -> Self {
        self.callbacks.indexing = Some(Box::new(tell));
        self
    }

    /// Has a store of files keep evidence; see
    /// [`FileStorageBuilder::evidence`](attestry_file::FileStorageBuilder::evidence). A store that is
    /// none of files fails to open then.
    ///
    /// ```
    /// # async fn example(path: std::path::PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    /// use attestry::{EvidenceOptions, evidence::SigningKey};
    ///
    /// let key: SigningKey = std::fs::read_to_string("signing.key")?.trim().parse()?;
    /// let log = attestry::open(path).evidence(EvidenceOptions::new(key)).await?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "evidence")]
    pub fn evidence(mut self, evidence: attestry_file::EvidenceOptions) -> Self {
        self.evidence = Some(evidence);
        self
    }

    /// The name that erasure records carry; see
    /// [`FileStorageBuilder::erased_by`](attestry_file::FileStorageBuilder::erased_by).
    #[cfg(feature = "evidence")]
    pub fn erased_by(mut self, name: impl Into<String>) -> Self {
        if let Ok(Location::File(options)) = &mut self.location {
            options.erased_by = Some(name.into());
        }
        self
    }

    /// The reason that erasure records carry; see
    /// [`FileStorageBuilder::erase_reason`](attestry_file::FileStorageBuilder::erase_reason).
    #[cfg(feature = "evidence")]
    pub fn erase_reason(mut self, reason: impl Into<String>) -> Self {
        if let Ok(Location::File(options)) = &mut self.location {
            options.erase_reason = Some(reason.into());
        }
        self
    }

    /// Opens the store of files itself, without a logger on it: for what only it can do, such as
    /// checkpoints and proofs.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    ///
    /// let storage = Arc::new(attestry::open("./audit").file_storage().await?);
    /// let log = attestry::AuditLogger::builder(Arc::clone(&storage)).build();
    /// # drop((storage, log));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidUrl::NotFiles`] where the URL is one of another store; otherwise as awaiting.
    #[cfg(feature = "file")]
    pub async fn file_storage(self) -> Result<attestry_file::FileStorage, OpenError> {
        let (location, callbacks) = self.parts()?;
        match location {
            Location::File(location) => location.open(callbacks).await,
            #[cfg(any(feature = "memory", feature = "s3"))]
            _ => Err(InvalidUrl::NotFiles.into()),
        }
    }

    /// Where the store is, with all that was set for it.
    fn parts(self) -> Result<(Location, Callbacks), OpenError> {
        #[cfg_attr(not(feature = "evidence"), allow(unused_mut))] // nothing to put into it
        let mut location = self.location?;
        #[cfg(feature = "evidence")]
        if let Some(evidence) = self.evidence {
            match &mut location {
                Location::File(options) => options.evidence = Some(Box::new(evidence)),
                #[cfg(any(feature = "memory", feature = "s3"))]
                _ => return Err(InvalidUrl::NotFiles.into()),
            }
        }
        Ok((location, self.callbacks))
    }

    /// Opens for reading only: nothing is created, locked, recovered or written.
    #[cfg(feature = "file")]
    pub fn read_only(mut self, read_only: bool) -> Self {
        if let Ok(Location::File(options)) = &mut self.location {
            options.read_only = read_only;
        }
        self
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("location", &self.location)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl IntoFuture for OpenOptions {
    type Output = Result<AuditLogger, OpenError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let settings = self.settings.clone();
            let (location, callbacks) = self.parts()?;
            let storage = location.open(callbacks).await?;
            Ok(settings.with_storage(storage).build())
        })
    }
}
