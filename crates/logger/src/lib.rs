//! [`AuditLogger`]: turns an [`Interaction`] into an audit entry and stores it.
//!
//! What is kept of the content is a policy of the logger, not of each call: by default only the
//! SHA-256 of input and output, on request the content itself, plain or encrypted. `log` returns
//! once the storage backend has stored the entry as safely as it promises.
//!
//! ```
//! use attestry_logger::{AuditLogger, Interaction};
//! use attestry_memory::MemoryStorage;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let logger = AuditLogger::builder(MemoryStorage::new()).build();
//! let id = logger.log(Interaction::new("What is 2+2?", "4").provider("openai").model("gpt-4")).await?;
//!
//! let entry = logger.get_entry(&id).await?.expect("stored a moment ago");
//! assert!(logger.verify_content(&entry, "What is 2+2?", "4")?.both());
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod content;
mod error;
mod hashing;
mod interaction;
mod logger;

pub use builder::{AuditLoggerBuilder, FailurePolicy};
pub use content::{Content, ContentMatch};
pub use error::{AuditError, ContentField};
pub use hashing::{ContentHash, HashKey, InvalidHashKey};
pub use interaction::Interaction;
pub use logger::AuditLogger;
