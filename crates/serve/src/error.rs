//! Errors of starting and running the server.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use attestry::{AuditError, StorageError};
use thiserror::Error;

use crate::security::tokens::InvalidTokens;

/// Why the server cannot start, reload its files, or end cleanly.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    #[non_exhaustive]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// Another host could connect without a token, or read tokens and content on the way.
    #[error(
        "refusing to listen on {address}, which other hosts can reach, without {missing}; \
         configure it, or allow it explicitly with --insecure"
    )]
    #[non_exhaustive]
    Insecure {
        /// The address.
        address: SocketAddr,
        /// What is missing: `TLS`, `tokens`, or `TLS and tokens`.
        missing: &'static str,
    },
    /// The file of tokens cannot be read.
    #[error("cannot read the tokens in {}", path.display())]
    #[non_exhaustive]
    Tokens {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidTokens,
    },
    /// A certificate or key cannot be used.
    #[error("cannot use the {what} in {} for TLS", path.display())]
    #[non_exhaustive]
    Tls {
        /// `certificate`, `key` or `client CA`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The access log cannot be opened.
    #[error("cannot open the access log {}", path.display())]
    #[non_exhaustive]
    AccessLog {
        /// Its folder.
        path: PathBuf,
        /// The error of the store.
        source: StorageError,
    },
    /// The inbox, where parts of calls wait for the others, cannot be used.
    #[error("cannot use the inbox {}", path.display())]
    #[non_exhaustive]
    Inbox {
        /// Its folder.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store of the access log or of the entries could not be closed.
    #[error("cannot close the store")]
    Close(#[source] AuditError),
}
