//! The types that all parts of Attestry share: the audit entry, its form as one line of JSON, and
//! the contract of a storage backend.
//!
//! This crate does no I/O. A third-party backend needs no other crate:
//!
//! * [`AuditEntry`] with its 17 fields, [`EntryId`], [`Timestamp`];
//! * [`hash_content`] and [`create_entry_id`];
//! * [`line`](mod@line): the JSON form, byte for byte that of the Python package `rotalabs-comply`;
//! * [`metadata`]: the keys that Attestry writes, and parsing that changes no value;
//! * [`Query`]: a selection of entries and their order; [`calls`]: queries for one entry a call;
//! * [`StorageBackend`]: the trait, with the promises on its methods;
//! * [`metrics`]: what a backend has done, in numbers;
//! * [`StorageError`], [`InvalidEntry`]: failures, grouped by what a caller can do about them.

mod backend;
pub mod calls;
mod cursor;
mod decode_error;
mod entry;
mod error;
mod forward;
mod hash;
mod id;
#[doc(hidden)]
pub mod json_text;
pub mod line;
pub mod metadata;
mod metadata_condition;
pub mod metrics;
mod optional_text;
mod phase;
mod query;
mod read_only;
mod search;
mod streams;
mod time;
#[doc(hidden)]
pub mod trace;
mod validate;

pub use async_trait::async_trait;
pub use backend::StorageBackend;
pub use cursor::{Cursor, InvalidCursor};
pub use decode_error::{DecodeError, MAX_LINE_BYTES};
pub use entry::AuditEntry;
pub use error::{CorruptRecord, ErrorChain, ErrorKind, InvalidEntry, InvalidQuery, StorageError};
pub use hash::hash_content;
pub use id::{EntryId, IdScheme, InvalidId, create_entry_id};
pub use metadata_condition::{InvalidMetadataCondition, MetadataCondition, MetadataTest};
pub use optional_text::OptionalText;
pub use phase::{InvalidPhase, Phase};
pub use query::{Order, Query};
pub use read_only::ReadOnly;
pub use streams::{AppendFuture, EntryStream, LineStream};
pub use time::{ParseTimestampError, Timestamp};
pub use validate::MAX_METADATA_DEPTH;

#[doc(hidden)]
pub use hash::to_hex;
