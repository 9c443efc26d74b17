//! The server of the audit log: one process that any language can feed and query over HTTP.
//!
//! A status of success means that what was sent is on stable storage: the process can be killed at any
//! moment. Reads go to an access log, a second store, before they are answered.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use attestry_serve::{Server, ServerOptions};
//!
//! let log = attestry::open("/var/log/audit").await?;
//! let server = Server::bind(log, ServerOptions::new("127.0.0.1:4318".parse()?)).await?;
//! println!("listening on {}", server.local_addr());
//! let handle = server.handle();
//! let running = tokio::spawn(server.run());
//! handle.shut_down();
//! running.await??; // all requests are answered, and the store is closed
//! # Ok(()) }
//! ```
//!
//! The routes and their roles are described in `docs/server.md`.

mod access_log;
mod anchors;
mod api;
mod counter;
mod error;
mod http;
mod inbox;
mod listener;
mod maintenance;
mod open_calls;
mod options;
mod otlp;
mod overview;
mod read;
mod security;
mod server;
mod signing;
mod state;
mod verification;
mod verify_store;
mod viewer;

pub use self::access_log::{access_log_folder, access_log_key_name};
pub use self::error::ServeError;
pub use self::listener::tls::TlsFiles;
pub use self::options::{Limits, Maintenance, ServerOptions};
pub use self::security::role::{InvalidRole, Role};
pub use self::security::tokens::{InvalidTokens, Token, Tokens};
pub use self::server::{Handle, Server};

/// Decodes a request of OTLP of any bytes, of which the first says how it is encoded; for the fuzz target `otlp_request`.
/// Returns the number of calls.
#[cfg(fuzzing)]
#[doc(hidden)]
#[must_use]
pub fn fuzz_otlp(input: &[u8]) -> usize {
    const LIMIT: usize = 1 << 20;
    let Some((first, body)) = input.split_first() else { return 0 };
    let compression = ["", "gzip", "deflate", "zstd"][usize::from(first >> 2 & 3)];
    let body = bytes::Bytes::copy_from_slice(body);
    let decoded =
        otlp::receiver::decode_any(first & 1 == 1, first & 2 == 2, compression, body, LIMIT);
    decoded.map_or(0, |decoded| decoded.records.len())
}
