//! The integration tests of the program: one program, since each costs seconds to link.

#![allow(clippy::unwrap_used)] // also in helpers

mod common;

#[cfg(feature = "s3")]
mod anchor_s3;
mod anchors;
mod backup;
mod calls;
mod check;
mod erase;
mod evidence;
mod export;
mod find;
mod import;
mod import_formats;
mod import_values;
#[cfg(unix)]
mod interrupt;
mod keys;
mod limits;
mod quarantine;
mod reconcile;
mod record;
mod refused;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "serve")]
mod serve;
#[cfg(all(feature = "serve", target_os = "linux"))]
mod serve_disk;
#[cfg(feature = "serve")]
mod serve_otlp;
mod show;
mod special_files;
mod tiles;
mod tree;
mod usage;
#[cfg(feature = "serve")]
mod view;
