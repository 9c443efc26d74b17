//! A scripted HTTP server, a witness written from the text of the specification, and stores.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses a part of it

pub(crate) mod server;
pub(crate) mod tsa;
pub(crate) mod witness;

use std::sync::Arc;
use std::time::Duration;

use attestry_anchor::{Backoff, Dispatcher, DispatcherBuilder};
use attestry_core::{AuditEntry, StorageBackend, Timestamp, create_entry_id, hash_content};
use attestry_evidence::{LogKey, SignedCheckpoint, SigningKey};
use attestry_file::{EvidenceOptions, FileStorage};
use tempfile::TempDir;

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed("example.com/audit", &[7; 32]).unwrap()
}

pub(crate) fn log_key() -> LogKey {
    key().public()
}

/// A store that signs only when it is asked to.
pub(crate) async fn store() -> (TempDir, Arc<FileStorage>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    (folder, store)
}

pub(crate) async fn open(path: &std::path::Path) -> Arc<FileStorage> {
    let options = EvidenceOptions::new(key()).every(Duration::MAX).every_entries(u64::MAX);
    Arc::new(FileStorage::builder(path).evidence(options).open().await.unwrap())
}

/// Appends `count` entries and signs a checkpoint.
pub(crate) async fn grow(store: &FileStorage, count: usize) -> SignedCheckpoint {
    let entry = || {
        AuditEntry::new(create_entry_id(), Timestamp::now(), hash_content("i"), hash_content("o"))
    };
    store.append(&(0..count).map(|_| entry()).collect::<Vec<_>>()).await.unwrap();
    store.checkpoint().await.unwrap()
}

/// A dispatcher with short pauses.
pub(crate) fn quick() -> DispatcherBuilder {
    let millis = Duration::from_millis;
    Dispatcher::builder().poll_interval(millis(5)).backoff(Backoff::new(millis(2), millis(10)))
}

/// Waits until `done`; fails after a minute.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited a minute until {what}");
}
