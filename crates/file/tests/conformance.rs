//! The behaviour suite, on a folder that is new for each case, once with one segment and once
//! rotated every few lines.
#![allow(clippy::unwrap_used)] // helpers of a test

use attestry_conformance::Fresh;
use attestry_file::FileStorage;

async fn fresh(rotation_bytes: u64) -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let storage =
        FileStorage::builder(path).rotation_size_bytes(rotation_bytes).open().await.unwrap();
    Fresh::with_guard(storage, folder)
}

mod one_segment {
    attestry_conformance::suite!(crate::fresh(100 << 20).await);
}

mod many_segments {
    attestry_conformance::suite!(crate::fresh(4_000).await);
}
