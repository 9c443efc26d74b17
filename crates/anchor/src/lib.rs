//! Hands the checkpoints of an audit log over to *anchors*: parties and places that its owner cannot rewrite.
//!
//! A log that can be rewritten and signed again up to its last checkpoint elsewhere is only as good as the
//! age of that checkpoint. A [`Dispatcher`] runs beside a store and hands each new checkpoint to
//!
//! | anchor | what it does |
//! | --- | --- |
//! | [`Witnesses`] | cosign a checkpoint after a consistency check (C2SP tlog-witness) |
//! | [`TimestampAuthority`] | states that a checkpoint existed at a time (RFC 3161) |
//! | [`FolderSink`], [`FileSink`] | keep it on another machine's or a write-once file system |
//! | [`CommandSink`] | anything a program can do: mail it, print it, call an API |
//! | [`GitSink`] | commit and push it |
//!
//! or to any other type that implements [`Anchor`].
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use attestry_anchor::{Dispatcher, FolderSink};
//! use attestry_evidence::SigningKey;
//! use attestry_file::{EvidenceOptions, FileStorage};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let guard = tempfile::tempdir()?;
//! # let path = guard.path().join("audit");
//! # let elsewhere = guard.path().join("elsewhere");
//! # std::fs::create_dir(&elsewhere)?;
//! let key = SigningKey::generate("example.com/audit")?;
//! let store = FileStorage::builder(path).evidence(EvidenceOptions::new(key)).open().await?;
//! let store = Arc::new(store);
//! let anchors = Dispatcher::builder().anchor(FolderSink::new(&elsewhere)).start(store.clone())?;
//!
//! // … the service runs, and signs checkpoints …
//! store.checkpoint().await?;
//!
//! let status = anchors.close(Duration::from_secs(10)).await;
//! assert!(status.iter().all(|anchor| !anchor.pending), "{status:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Promises
//!
//! * Logging never waits for an anchor. A dispatcher only reads checkpoints that were stored before.
//! * At least once: an anchor gets the newest checkpoint, possibly again after a crash. While an anchor fails,
//!   checkpoints that a newer one replaces are skipped; the newer one covers all their entries.
//! * Nothing is lost by a restart: what an anchor has is recorded in the folder of the store, and compared with
//!   the latest checkpoint.
//! * Bounded: one checkpoint and one attempt an anchor, with a timeout.
//! * Visible: [`Dispatcher::metrics`] has failures and the age of what is held elsewhere.

#![forbid(unsafe_code)]

mod anchor;
mod authority;
mod backoff;
mod dispatcher;
mod http;
mod sink;
mod status;
mod timestamp;
mod witness;
mod witnesses;

pub use anchor::{Anchor, AnchorError, HandedOver};
pub use authority::TimestampAuthority;
pub use backoff::Backoff;
pub use dispatcher::{Dispatcher, DispatcherBuilder, NotAFileStore};
pub use http::{HttpClient, HttpError};
pub use sink::{CommandSink, FileSink, FolderSink, GitSink, checkpoint_file_name};
pub use status::{AnchorMetrics, AnchorStatus, held_elsewhere};
pub use timestamp::{
    InvalidRoots, TimestampError, TimestampRoots, VerifiedTimestamp, verify_timestamp,
};
pub use witness::{InvalidWitness, Witness, WitnessError};
pub use witnesses::{UnusablePolicy, Witnesses};
