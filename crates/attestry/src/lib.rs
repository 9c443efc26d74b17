//! The audit log for AI: a record of what a model was asked and what it answered, kept so that an
//! auditor can trust it years later.
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
//! `log` returns once the entry is on stable storage. By default the entry holds the SHA-256 of input
//! and output, not the texts.
//!
//! # Storing the content, encrypted
//!
//! ```
//! # async fn encrypted() -> Result<(), Box<dyn std::error::Error>> {
//! use attestry::Interaction;
//! use attestry::crypto::EncryptionManager;
//!
//! let encryption = EncryptionManager::generate();
//! let log = attestry::open_url("memory:").encryption(encryption).store_content(true).await?;
//! let id = log.log(Interaction::new("A confidential question", "A confidential answer")).await?;
//!
//! let entry = log.get_entry(&id).await?.expect("just stored");
//! let content = log.decrypt_entry(&entry)?; // checked against the entry's hashes
//! assert_eq!(content.output.as_deref(), Some("A confidential answer"));
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(encrypted())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A call has a start and an end
//!
//! `log` records a call that has ended. A process that is killed, or a client that disconnects in the
//! middle of an answer, then leaves no record. [`AuditLogger::start`] stores an entry before the model is
//! called, and the [`Call`] stores another one when it ends or is dropped:
//!
//! ```
//! # async fn streaming() -> Result<(), Box<dyn std::error::Error>> {
//! use attestry::Interaction;
//!
//! let log = attestry::open_url("memory:").store_content(true).await?;
//! let mut call = log.start(Interaction::new("What is 2+2?", "").model("gpt-4")).await?;
//! for token in ["The answer", " is 4."] {
//!     call.push(token);
//! }
//! call.finish().await?;
//! # assert_eq!(log.count().await?, 2);
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(streaming())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A query with [`Phase::Latest`] selects one entry a call, and [`AuditLogger::open_calls`] finds calls without
//! an end. The example `streaming_chat` is a web handler that records the disconnect of a client.
//!
//! # Finding entries
//!
//! A record that cannot be read is an item of the stream, and the entries after it follow. A loop with
//! `try_next` would end at it and hide them:
//!
//! ```
//! # async fn finding() -> Result<(), Box<dyn std::error::Error>> {
//! use attestry::{Interaction, Query, StorageError};
//! use futures_util::StreamExt;
//!
//! let log = attestry::open_url("memory:").await?;
//! log.log(Interaction::new("…", "…").provider("openai").safety_passed(false)).await?;
//!
//! let mut found = log.query(Query::new().provider("openai").safety_passed(false).limit(100));
//! while let Some(result) = found.next().await {
//!     match result {
//!         Ok(entry) => println!("{} {}", entry.timestamp, entry.id),
//!         Err(StorageError::Corrupt(record)) => eprintln!("{record}"),
//!         Err(error) => return Err(error.into()),
//!     }
//! }
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(finding())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`AuditLogger::page`] reads one page and returns the [`Cursor`] of the next.
//!
//! # Retention
//!
//! [`AuditLogger::cleanup_expired`] deletes entries that are older than `retention_days` (365 by
//! default). Run it once a day.
//!
//! # Storage
//!
//! | feature | default | module |
//! | --- | --- | --- |
//! | `file` | yes | [`file`](mod@file): JSONL files, shared with the Python package `rotalabs-comply` |
//! | `memory` | yes | [`memory`]: for tests and development |
//! | `encryption` | yes | [`crypto`]: encryption of stored content |
//! | `messages` | no | [`messages`]: chat messages as content, in a canonical form |
//! | `s3` | no | `s3`: objects in an S3 bucket, shared with the Python package |
//! | `anchor` | no | `anchor`: checkpoints to witnesses, timestamp authorities and places elsewhere; adds an HTTP client |
//! | `evidence` | no | `evidence`: proof that a folder was not rewritten (Merkle tree, signed checkpoints) |
//!
//! Any other store is a [`StorageBackend`] with five required methods; see [`backend`] and the example
//! `custom_backend`. `AuditLogger::builder(backend)` builds a logger on it.

#[cfg(feature = "anchor")]
pub mod anchor;
pub mod error;
#[cfg(feature = "evidence")]
pub mod evidence;
mod location;
mod open;
mod settings;

#[doc(hidden)]
pub use attestry_core::json_text;
pub use attestry_core::{
    AuditEntry, CorruptRecord, Cursor, EntryId, EntryStream, ErrorChain, ErrorKind, IdScheme,
    MetadataCondition, MetadataTest, OptionalText, Order, Phase, Query, StorageBackend,
    StorageError, Timestamp, create_entry_id, hash_content, line, metadata,
};
#[cfg(feature = "messages")]
pub use attestry_logger::messages;
pub use attestry_logger::stats;
pub use attestry_logger::{
    AuditError, AuditLogger, AuditLoggerBuilder, Call, Content, ContentField, ContentHash,
    ContentMatch, DeleteMode, Deletion, FailurePolicy, HashKey, Interaction, Page, StartRecord,
    Tee,
};
pub use error::OpenError;
#[cfg(feature = "file")]
pub use open::open;
pub use open::{OpenOptions, open_url};

/// For implementers of a [`StorageBackend`].
pub mod backend {
    pub use attestry_core::{
        AppendFuture, EntryStream, LineStream, MAX_METADATA_DEPTH, ReadOnly, StorageBackend,
        async_trait, calls,
    };
}

/// What a logger and its backend have done, in numbers: [`AuditLogger::metrics`].
pub mod metrics {
    pub use attestry_core::metrics::{
        Histogram, LastCheckpoint, LastError, StorageCounters, StorageMetrics, Writing,
    };
    pub use attestry_logger::LoggerMetrics;
}

/// Entries in a folder of JSONL files (feature `file`).
#[cfg(feature = "file")]
pub mod file {
    pub use attestry_file::{
        Backup, BackupError, BackupOptions, Durability, FileStorage, FileStorageBuilder,
        IndexingProgress, LinesMayBeLost, NotRegularFile, Quarantined, QuarantinedKind,
        RecoveryReport, RefusedIntent, TornTail, Unfinished, UnfinishedTask, UnknownVersion,
        UnsignedLeaves,
    };
}

/// Entries in memory (feature `memory`).
#[cfg(feature = "memory")]
pub mod memory {
    pub use attestry_memory::MemoryStorage;
}

/// Entries in an S3 bucket (feature `s3`).
#[cfg(feature = "s3")]
pub mod s3 {
    pub use attestry_s3::*;
}

/// Keys and encryption of stored content (feature `encryption`).
#[cfg(feature = "encryption")]
pub mod crypto {
    pub use attestry_crypto::*;
}
