//! Where reads run.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of a test

mod common;

use std::fs::File;
use std::io::IoSliceMut;
use std::path::Path;

use attestry_core::{EntryId, StorageBackend};
use attestry_file::FileStorage;
use common::{entries, folder, segments, skip};
use futures_util::FutureExt;
use rustix::io::{ReadWriteFlags, preadv2};

/// Whether the file system of `path` says at once what is in the page cache.
fn tells_what_is_cached(path: &Path) -> bool {
    let file = File::open(path).unwrap();
    let mut byte = [0];
    preadv2(&file, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT).is_ok()
}

#[tokio::test]
async fn a_warm_read_is_done_when_it_is_first_polled() {
    let (_guard, path) = folder();
    let storage = FileStorage::builder(&path).rotation_size_bytes(20_000).open().await.unwrap();
    let entries = entries(0..200);
    storage.append(&entries).await.unwrap();
    let absent: EntryId = "absent".parse().unwrap();
    // The first look takes in what was written.
    for entry in &entries {
        assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
    }
    if !segments(&path).iter().all(|segment| tells_what_is_cached(segment)) {
        return skip("this file system does not support RWF_NOWAIT");
    }
    let at_once = |id| storage.read(id).now_or_never().expect("it waits for a thread").unwrap();
    for entry in &entries {
        assert_eq!(at_once(&entry.id).as_ref(), Some(entry));
    }
    assert_eq!(at_once(&absent), None);
    storage.close().await.unwrap();
}
