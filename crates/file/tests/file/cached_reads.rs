//! Which reads complete on the caller's thread.

use std::fs::File;
use std::io::IoSliceMut;
use std::path::Path;

use crate::common::{entries, folder, segments, skip};
use attestry_core::{EntryId, StorageBackend};
use attestry_file::FileStorage;
use futures_util::FutureExt;
use rustix::io::{ReadWriteFlags, preadv2};

/// Whether the file system of `path` supports reads of the page cache only (`RWF_NOWAIT`).
fn supports_nowait(path: &Path) -> bool {
    let file = File::open(path).unwrap();
    let mut byte = [0];
    preadv2(&file, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT).is_ok()
}

#[tokio::test]
async fn cached_read_completes_on_first_poll() {
    let (_guard, path) = folder();
    let storage = FileStorage::builder(&path).rotation_size_bytes(20_000).open().await.unwrap();
    let entries = entries(0..200);
    storage.append(&entries).await.unwrap();
    let absent: EntryId = "absent".parse().unwrap();
    // The first reads extend the index and fill the page cache.
    for entry in &entries {
        assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry));
    }
    if !segments(&path).iter().all(|segment| supports_nowait(segment)) {
        return skip("this file system does not support RWF_NOWAIT");
    }
    let read =
        |id| storage.read(id).now_or_never().expect("the first poll completes the read").unwrap();
    for entry in &entries {
        assert_eq!(read(&entry.id).as_ref(), Some(entry));
    }
    assert_eq!(read(&absent), None);
    storage.close().await.unwrap();
}
