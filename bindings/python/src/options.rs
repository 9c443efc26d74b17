//! The settings of a store, kept so that it can be opened again in another process.

use std::path::PathBuf;
use std::time::Duration;

use attestry::evidence::{EvidenceOptions, SigningKey};
use attestry::file::Durability;
use attestry::{AuditLogger, OpenOptions};
use pyo3::exceptions::PyValueError;

use crate::failure::Failure;

/// Where a store is.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    Folder(PathBuf),
    Url(String),
}

#[derive(Debug, Clone)]
pub(crate) struct StoreOptions {
    pub(crate) location: Location,
    pub(crate) rotation_size_mb: Option<u64>,
    pub(crate) buffered: bool,
    pub(crate) indexed_metadata_keys: Option<Vec<String>>,
    pub(crate) read_only: bool,
    /// The text of a signing key, or the path of its file.
    pub(crate) signing_key: Option<SecretText>,
    pub(crate) checkpoint_seconds: Option<f64>,
    pub(crate) adopt_existing: bool,
}

/// A text that is not printed.
#[derive(Clone)]
pub(crate) struct SecretText(pub(crate) String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText")
    }
}

impl StoreOptions {
    pub(crate) fn is_memory(&self) -> bool {
        matches!(&self.location, Location::Url(url) if url.starts_with("memory:"))
    }

    fn to_open(&self) -> Result<OpenOptions, Failure> {
        let mut open = match &self.location {
            Location::Folder(path) => attestry::open(path),
            Location::Url(url) => attestry::open_url(url),
        };
        if let Some(size) = self.rotation_size_mb {
            open = open.rotation_size_mb(size);
        }
        if self.buffered {
            open = open.durability(Durability::Buffered);
        }
        if let Some(keys) = &self.indexed_metadata_keys {
            open = open.indexed_metadata_keys(keys.iter().cloned());
        }
        if let Some(SecretText(text)) = &self.signing_key {
            let invalid = |error: &dyn std::error::Error| {
                PyValueError::new_err(format!("the signing key cannot be used: {error}"))
            };
            let key: SigningKey = text.trim().parse().map_err(|error| invalid(&error))?;
            let mut evidence = EvidenceOptions::new(key).adopt_existing(self.adopt_existing);
            if let Some(seconds) = self.checkpoint_seconds {
                let every =
                    Duration::try_from_secs_f64(seconds).map_err(|error| invalid(&error))?;
                evidence = evidence.every(every);
            }
            open = open.evidence(evidence);
        }
        // Set only where it is asked for, since a URL may say it.
        Ok(if self.read_only { open.read_only(true) } else { open })
    }

    /// A logger of default settings on the store, for its storage.
    pub(crate) async fn open(&self) -> Result<AuditLogger, Failure> {
        Ok(self.to_open()?.await?)
    }
}
