//! Audit entries in a folder of JSONL files, durable, rotated, and shared with the Python package
//! `rotalabs-comply`.
//!
//! When [`write`](attestry_core::StorageBackend::write) returns, the line is on stable storage
//! ([`Durability::Sync`]); many writers share one `fdatasync`. A crash loses no acknowledged entry. A
//! torn last line is quarantined and reported when the folder is opened. When `delete` returns, the
//! bytes of the entry are gone from its file.
//!
//! ```
//! use attestry_core::{AuditEntry, StorageBackend, Timestamp, create_entry_id, hash_content};
//! use attestry_file::FileStorage;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! let storage = FileStorage::builder(folder.path().join("audit")).rotation_size_mb(50).open().await?;
//! let entry = AuditEntry::new(create_entry_id(), Timestamp::now(), hash_content("in"), hash_content("out"));
//! let id = storage.write(&entry).await?;
//! assert_eq!(storage.read(&id).await?, Some(entry));
//! storage.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Life of an entry
//!
//! 1. [`FileStorage`] (`storage`) validates the entry and encodes it to one line, on the caller's task.
//! 2. The line is copied into the current batch of the write queue (`writer`), which is bounded in bytes.
//! 3. The writer thread takes the batch, acquires the store lock, and appends it to the active segment
//!    (`active_segment`) with one `write` and one `fdatasync`; then it wakes the callers. Appends that
//!    arrive in the meantime form the next batch.
//!
//! Deletions and the steps of maintenance jobs (`maintenance`) go through the same queue, so that one
//! thread changes the files, in order. Reads (`reader`) take no lock; they find lines by the index files
//! of sealed segments, and by an index in memory for the active one. Several processes may share a
//! folder.
//!
//! Reads that may wait for the disk run on Tokio's blocking threads, so they need a Tokio runtime.
//! Unix only.

#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!(
    "attestry-file needs a Unix system: it relies on inodes, flock and fsync of folders"
);

mod active_segment;
mod backup;
mod builder;
mod callback;
mod durability;
mod erase;
#[cfg(feature = "evidence")]
mod evidence;
mod fs;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "../tests/fuzz/mod.rs"]
pub mod fuzzing;
mod maintenance;
mod observer;
mod quarantine;
mod reader;
mod recovery;
mod segment;
mod settings;
mod storage;
#[cfg(feature = "evidence")]
mod tree;
mod writer;

pub use backup::{Backup, BackupError, BackupOptions};
pub use builder::FileStorageBuilder;
pub use durability::{Durability, LinesMayBeLost};
pub use erase::RefusedIntent;
pub use fs::open::NotRegularFile;
pub use fs::version::UnknownVersion;
pub use observer::UnsignedLeaves;
pub use quarantine::{Quarantined, QuarantinedKind};
pub use reader::IndexingProgress;
pub use recovery::{RecoveryReport, TornTail, Unfinished, UnfinishedTask};
pub use storage::FileStorage;
#[cfg(feature = "evidence")]
pub use tree::{
    AnchorRecord, Backfill, CheckpointReader, Comparison, CosignedCheckpoint, EntryProof, Erasure,
    Erasures, EvidenceError, EvidenceOptions, EvidenceProblem, HeldCheckpoint, NewestCheckpoint,
    Observation, ObservationKind, ProblemKind, RecordSignature, RecordedErasure, SignerMemory,
    StoredTimestamp, TileExport, TreeRebuild, Verification, VerifyOptions, VerifyProgress,
};
