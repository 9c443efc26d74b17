//! The integration tests of the file backend: one program, since each costs seconds to link.

#![allow(clippy::unwrap_used)] // also in helpers

mod common;

#[cfg(feature = "evidence")]
mod backup;
#[cfg(target_os = "linux")]
mod cached_reads;
#[cfg(feature = "evidence")]
mod checkpoints;
mod conformance;
#[cfg(feature = "evidence")]
mod earlier_evidence;
#[cfg(feature = "evidence")]
mod erasure_keys;
#[cfg(feature = "evidence")]
mod evidence;
mod faults;
mod format;
#[cfg(feature = "evidence")]
mod hostile_files;
mod index_freshness;
mod indexes;
mod indexing;
#[cfg(feature = "evidence")]
mod key_rotation;
mod metrics;
mod model;
mod mutation_faults;
#[cfg(feature = "evidence")]
mod named_differences;
mod open_tail;
mod ownership;
mod processes;
mod quarantine;
mod recovery;
mod refused_changes;
mod regular_files;
mod secondary_index;
#[cfg(feature = "evidence")]
mod signer_memory;
#[cfg(feature = "evidence")]
mod tampering;
#[cfg(feature = "evidence")]
mod tree_repair;
mod versions;
