//! [`AuditLogger`]: turns an [`Interaction`] into an audit entry and stores it.
//!
//! The content policy belongs to the logger, not to each call. By default an entry holds only the
//! SHA-256 of input and output; optionally also the content itself, plain or encrypted. `log` returns
//! once the storage backend has stored the entry as durably as it promises.
//!
//! ```
//! use attestry_logger::{AuditLogger, Interaction};
//! use attestry_memory::MemoryStorage;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let logger = AuditLogger::builder(MemoryStorage::new()).build();
//! let id = logger.log(Interaction::new("What is 2+2?", "4").provider("openai").model("gpt-4")).await?;
//!
//! let entry = logger.get_entry(&id).await?.expect("just stored");
//! assert!(logger.verify_content(&entry, "What is 2+2?", "4")?.both());
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod call;
mod content;
mod deletion;
mod error;
mod hashing;
mod interaction;
mod logger;
#[cfg(feature = "messages")]
pub mod messages;
mod metrics;
mod page;
mod policy;
mod recorder;
mod scan;
pub mod stats;
mod vocabulary;

pub use builder::AuditLoggerBuilder;
pub use call::{Call, StartRecord, Tee};
pub use content::{Content, ContentMatch};
pub use deletion::{DeleteMode, Deletion};
pub use error::{AuditError, ContentField};
pub use hashing::{ContentHash, HashKey, InvalidHashKey};
pub use interaction::Interaction;
pub use logger::AuditLogger;
pub use metrics::LoggerMetrics;
pub use page::Page;
pub use policy::FailurePolicy;
