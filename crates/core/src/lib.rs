//! The contract every part of Attestry shares: what an audit entry is, how it stands as one
//! line of JSON, and what a storage backend promises.
//!
//! This crate does no I/O. A third-party backend needs nothing else:
//!
//! * [`AuditEntry`] with its 17 fields, [`EntryId`], [`Timestamp`];
//! * [`hash_content`] and [`create_entry_id`];
//! * [`line`](mod@line): the byte-exact JSON form that the Python package `rotalabs-comply` writes and reads;
//! * [`Query`]: which entries, in which order;
//! * [`StorageBackend`]: the trait, with the promises written on its methods;
//! * [`StorageError`], [`InvalidEntry`]: what can go wrong, by what a caller can do about it.

mod backend;
mod entry;
mod error;
mod forward;
mod hash;
mod id;
pub mod line;
mod query;
mod time;
mod validate;

pub use async_trait::async_trait;
pub use backend::{AppendFuture, EntryStream, LineStream, StorageBackend};
pub use entry::AuditEntry;
pub use error::{CorruptRecord, InvalidEntry, InvalidQuery, StorageError};
pub use hash::hash_content;
pub use id::{EntryId, IdScheme, InvalidId, create_entry_id};
pub use line::{DecodeError, MAX_LINE_BYTES};
pub use query::{Cursor, Order, Query};
pub use time::{ParseTimestampError, Timestamp};
pub use validate::MAX_METADATA_DEPTH;

#[doc(hidden)]
pub use hash::to_hex;
