//! The audit log for AI: what a model was asked and what it answered, kept so that an auditor can
//! trust it years later.
//!
//! # Five lines
//!
//! ```
//! # async fn five_lines(path: std::path::PathBuf) -> Result<(), Box<dyn std::error::Error>> {
//! use attestry::Interaction;
//!
//! let log = attestry::open(path).await?;
//! let id = log.log(Interaction::new("What is 2+2?", "4").provider("openai").model("gpt-4")).await?;
//! let entry = log.get_entry(&id).await?.expect("stored and on disk");
//! # log.close().await?;
//! # Ok(()) }
//! # let folder = tempfile::tempdir()?;
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?
//! #     .block_on(five_lines(folder.path().join("audit")))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `log` returns once the entry is on stable storage. By default it keeps the SHA-256 of input
//! and output, not the texts.
//!
//! # Keeping the content, encrypted
//!
//! ```
//! # async fn encrypted() -> Result<(), Box<dyn std::error::Error>> {
//! use attestry::{EncryptionManager, Interaction};
//!
//! let encryption = EncryptionManager::generate();
//! let log = attestry::open_url("memory:").encryption(encryption).store_content(true).await?;
//! let id = log.log(Interaction::new("A confidential question", "A confidential answer")).await?;
//!
//! let entry = log.get_entry(&id).await?.expect("stored");
//! let content = log.decrypt_entry(&entry)?; // checked against the entry's hashes
//! assert_eq!(content.output.as_deref(), Some("A confidential answer"));
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(encrypted())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Finding entries again
//!
//! ```
//! # async fn finding() -> Result<(), Box<dyn std::error::Error>> {
//! use attestry::{Interaction, Query};
//! use futures_util::TryStreamExt;
//!
//! let log = attestry::open_url("memory:").await?;
//! log.log(Interaction::new("…", "…").provider("openai").safety_passed(false)).await?;
//!
//! let mut failed = log.query(Query::new().provider("openai").safety_passed(false).limit(100));
//! while let Some(entry) = failed.try_next().await? {
//!     println!("{} {}", entry.timestamp, entry.id);
//! }
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(finding())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Keeping only so long
//!
//! [`AuditLogger::cleanup_expired`] deletes what is older than `retention_days` (365 by default).
//! Run it once a day.
//!
//! # Storage
//!
//! | feature | default | what it brings |
//! | --- | --- | --- |
//! | `file` | yes | `FileStorage`: JSONL files, shared with the Python package `rotalabs-comply` |
//! | `memory` | yes | `MemoryStorage`: for tests and development |
//! | `s3` | no | `S3Storage`: objects in a bucket of S3, shared with the Python package |
//! | `evidence` | no | proof that a folder was not rewritten: a tree of its lines, signed checkpoints |
//! | `encryption` | yes | content encrypted at rest (`EncryptionManager`) |
//!
//! Any other store is a [`StorageBackend`] of your own, of five methods; see the example
//! `custom_backend`. `AuditLogger::builder(backend)` makes a logger on it.

mod location;
mod open;

pub use attestry_core::{
    AppendFuture, AuditEntry, CorruptRecord, Cursor, DecodeError, EntryId, EntryStream, IdScheme,
    InvalidEntry, InvalidId, InvalidQuery, Order, ParseTimestampError, Query, StorageBackend,
    StorageError, Timestamp, async_trait, create_entry_id, hash_content, line,
};
#[cfg(feature = "encryption")]
pub use attestry_crypto::{
    DecryptError, EncryptionManager, InvalidKey, Key, KeyError, KeySource, decrypt, encrypt,
    generate_key, looks_encrypted,
};
#[cfg(feature = "evidence")]
pub use attestry_evidence as evidence;
#[cfg(feature = "evidence")]
pub use attestry_file::{
    Backfill, CosignedCheckpoint, EntryProof, EvidenceError, EvidenceOptions, EvidenceProblem,
    ProblemKind, Verification, VerifyOptions, VerifyProgress,
};
#[cfg(feature = "file")]
pub use attestry_file::{
    Durability, FileStorage, FileStorageBuilder, IndexingProgress, RecoveryReport, TornTail,
};
pub use attestry_logger::{
    AuditError, AuditLogger, AuditLoggerBuilder, Content, ContentField, ContentHash, ContentMatch,
    FailurePolicy, HashKey, Interaction, InvalidHashKey,
};
#[cfg(feature = "memory")]
pub use attestry_memory::MemoryStorage;
#[cfg(feature = "s3")]
pub use attestry_s3::{
    ConditionalWrites, ConnectError, DeleteFailure, DeleteFailures, LockMode, RequestError,
    RequestErrorKind, S3Storage, S3StorageBuilder, ServerSideEncryption,
};
pub use location::InvalidUrl;
#[cfg(feature = "file")]
pub use open::open;
pub use open::{OpenError, OpenOptions, open_url};
