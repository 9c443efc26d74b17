//! The streams and futures that a [`StorageBackend`](crate::StorageBackend) returns.

use std::pin::Pin;

use futures_core::Stream;

use crate::{AuditEntry, StorageError};

/// Stream returned by [`StorageBackend::scan`](crate::StorageBackend::scan): each record is an entry or an error. Dropping it
/// ends the scan.
pub type EntryStream<'a> =
    Pin<Box<dyn Stream<Item = Result<AuditEntry, StorageError>> + Send + 'a>>;

/// Stream returned by [`StorageBackend::scan_lines`](crate::StorageBackend::scan_lines): stored lines. Dropping it ends the scan.
pub type LineStream<'a> = Pin<Box<dyn Stream<Item = Result<Vec<u8>, StorageError>> + Send + 'a>>;

/// Future returned by [`StorageBackend::append`](crate::StorageBackend::append); resolves once the entries are durable.
pub type AppendFuture<'a> = Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + 'a>>;
