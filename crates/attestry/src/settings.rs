//! Settings of a store before it is opened.

#[cfg(any(feature = "file", feature = "memory", feature = "s3"))]
use crate::OpenError;

#[derive(Default)]
pub(crate) struct StoreSettings {
    pub(crate) read_only: bool,
    #[cfg(feature = "file")]
    pub(crate) file: FileSettings,
}

#[cfg(feature = "file")]
type OnRecovery = dyn FnOnce(&attestry_file::RecoveryReport) + Send;

#[cfg(feature = "file")]
type OnIndexing = dyn Fn(attestry_file::IndexingProgress) + Send + Sync;

/// Settings that only a file store supports.
#[cfg(feature = "file")]
#[derive(Default)]
pub(crate) struct FileSettings {
    pub(crate) rotation_size_mb: Option<u64>,
    pub(crate) durability: Option<attestry_file::Durability>,
    pub(crate) indexed_metadata_keys: Option<Vec<String>>,
    pub(crate) on_recovery: Option<Box<OnRecovery>>,
    pub(crate) on_indexing: Option<Box<OnIndexing>>,
    #[cfg(feature = "evidence")]
    pub(crate) evidence: Option<Box<attestry_file::EvidenceOptions>>,
    #[cfg(feature = "evidence")]
    pub(crate) erasure_key: Option<Box<attestry_evidence::SigningKey>>,
    #[cfg(feature = "evidence")]
    pub(crate) erased_by: Option<String>,
    #[cfg(feature = "evidence")]
    pub(crate) erase_reason: Option<String>,
}

impl StoreSettings {
    /// Fails if a setting is set that only file stores support.
    #[cfg(any(feature = "memory", feature = "s3"))]
    pub(crate) fn must_suit(&self, store: &'static str) -> Result<(), OpenError> {
        #[cfg(feature = "file")]
        let set = self.file.first_set();
        #[cfg(not(feature = "file"))]
        let set = None;
        set.map_or(Ok(()), |setting| Err(OpenError::Unsupported { setting, store }))
    }

    #[cfg(feature = "file")]
    pub(crate) async fn open_folder(
        self,
        path: std::path::PathBuf,
    ) -> Result<attestry_file::FileStorage, OpenError> {
        let mut builder = attestry_file::FileStorage::builder(path).read_only(self.read_only);
        let settings = self.file;
        if let Some(megabytes) = settings.rotation_size_mb {
            builder = builder.rotation_size_mb(megabytes);
        }
        if let Some(durability) = settings.durability {
            builder = builder.durability(durability);
        }
        if let Some(keys) = settings.indexed_metadata_keys {
            builder = builder.indexed_metadata_keys(keys);
        }
        #[cfg(feature = "evidence")]
        {
            if let Some(evidence) = settings.evidence {
                builder = builder.evidence(*evidence);
            }
            if let Some(key) = settings.erasure_key {
                builder = builder.erasure_key(*key);
            }
            if let Some(name) = settings.erased_by {
                builder = builder.erased_by(name);
            }
            if let Some(reason) = settings.erase_reason {
                builder = builder.erase_reason(reason);
            }
        }
        if let Some(callback) = settings.on_indexing {
            builder = builder.on_indexing(callback);
        }
        let storage = builder.open().await?;
        if let Some(callback) = settings.on_recovery
            && !storage.recovery().is_clean()
        {
            callback(&storage.recovery());
        }
        Ok(storage)
    }
}

#[cfg(feature = "file")]
impl FileSettings {
    /// The name of the first setting that is set.
    #[cfg(any(feature = "memory", feature = "s3"))]
    fn first_set(&self) -> Option<&'static str> {
        let settings = [
            (self.rotation_size_mb.is_some(), "rotation_size_mb"),
            (self.durability.is_some(), "durability"),
            (self.indexed_metadata_keys.is_some(), "indexed_metadata_keys"),
            (self.on_recovery.is_some(), "on_recovery"),
            (self.on_indexing.is_some(), "on_indexing"),
            #[cfg(feature = "evidence")]
            (self.evidence.is_some(), "evidence"),
            #[cfg(feature = "evidence")]
            (self.erasure_key.is_some(), "erasure_key"),
            #[cfg(feature = "evidence")]
            (self.erased_by.is_some(), "erased_by"),
            #[cfg(feature = "evidence")]
            (self.erase_reason.is_some(), "erase_reason"),
        ];
        settings.iter().find_map(|(set, name)| set.then_some(*name))
    }
}
