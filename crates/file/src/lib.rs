//! Audit entries in a folder of JSONL files, durable, rotated, and shared with the Python package
//! `rotalabs-comply`.
//!
//! When [`write`](attestry_core::StorageBackend::write) returns, the line is on stable storage
//! ([`Durability::Sync`]); many writers share one `fdatasync`. A crash loses nothing that was
//! acknowledged, a torn last line is set aside and reported when the folder is opened, and an
//! erased entry's bytes are gone from its file when `delete` returns.
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
//! # How an entry gets to the disk
//!
//! [`FileStorage`] validates and serialises it on the caller's task, queues the line
//! (`commit::queue`), and waits. One thread per store, the committer (`commit`), takes all that is
//! queued, takes the store's lock, appends it to the active segment with one write and one sync
//! (`segment::active`), and wakes the callers. Deletions go through the same queue (`erasure`), so that everything that
//! changes a file happens on one thread, in order. Reads go through the `catalog`, take no lock, and
//! find lines by index files (`segment::table`), those of the growing segment by an index in memory.
//! Several processes may share a folder.
//!
//! Reads that may wait for the disk run on Tokio's blocking threads, so they need a Tokio runtime.
//! Unix only.

#[cfg(not(unix))]
compile_error!(
    "attestry-file needs a Unix system: it relies on inodes, flock and fsync of folders"
);

mod builder;
mod callback;
mod erase;
#[cfg(feature = "evidence")]
mod evidence;
mod fs;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "../tests/fuzz/mod.rs"]
pub mod fuzzing;
mod observer;
mod reader;
mod recovery;
mod segment;
mod storage;
#[cfg(feature = "evidence")]
mod tree;
mod writer;

pub use builder::{Durability, FileStorageBuilder};
pub use reader::IndexingProgress;
pub use recovery::{RecoveryReport, TornTail};
pub use storage::FileStorage;
#[cfg(feature = "evidence")]
pub use tree::{
    Backfill, CosignedCheckpoint, EntryProof, EvidenceError, EvidenceOptions, EvidenceProblem,
    ProblemKind, Verification, VerifyOptions, VerifyProgress,
};
