//! The settings of a store.

use std::path::PathBuf;

use attestry_core::StorageError;
#[cfg(feature = "evidence")]
use attestry_evidence::SigningKey;

use crate::durability::Durability;
use crate::fs::clock::Clock;
use crate::observer::EraseReason;
use crate::reader::Listener;
use crate::segment::IndexKeys;
#[cfg(feature = "evidence")]
use crate::tree::EvidenceOptions;

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) path: PathBuf,
    pub(crate) rotation_bytes: u64,
    pub(crate) durability: Durability,
    pub(crate) read_only: bool,
    pub(crate) listener: Listener,
    pub(crate) index_keys: IndexKeys,
    pub(crate) erase_defaults: EraseDefaults,
    #[cfg(feature = "evidence")]
    pub(crate) evidence: Option<EvidenceOptions>,
    #[cfg(feature = "evidence")]
    pub(crate) erasure_key: Option<SigningKey>,
    pub(crate) clock: Clock,
}

impl Settings {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            rotation_bytes: 100 << 20,
            durability: Durability::default(),
            read_only: false,
            listener: Listener::default(),
            index_keys: IndexKeys::default(),
            erase_defaults: EraseDefaults::default(),
            #[cfg(feature = "evidence")]
            evidence: None,
            #[cfg(feature = "evidence")]
            erasure_key: None,
            clock: Clock::default(),
        }
    }
}

/// What the record of an erasure states, unless the call does.
#[derive(Debug, Clone, Default)]
pub(crate) struct EraseDefaults {
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
}

impl EraseDefaults {
    /// The record of an erasure now; `reason` if none was set.
    pub(crate) fn reason_or(&self, reason: String) -> Result<EraseReason, StorageError> {
        let by = self.by.clone().unwrap_or_else(|| "attestry".to_owned());
        EraseReason::new(self.reason.clone().unwrap_or(reason), by)
    }
}
