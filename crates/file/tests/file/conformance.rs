//! The conformance suite on a new folder for each case: with one segment, with a rotation every few
//! lines, and with `Durability::Buffered`.

use attestry_conformance::Fresh;
use attestry_file::{Durability, FileStorage};

async fn fresh(rotation_bytes: u64, durability: Durability) -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let storage = FileStorage::builder(path)
        .rotation_size_bytes(rotation_bytes)
        .durability(durability)
        .indexed_metadata_keys(["account", "attempt", "trace_id"])
        .open()
        .await
        .unwrap();
    Fresh::with_guard(storage, folder)
}

mod one_segment {
    attestry_conformance::suite!(
        crate::conformance::fresh(100 << 20, attestry_file::Durability::Sync).await
    );
}

mod many_segments {
    attestry_conformance::suite!(
        crate::conformance::fresh(4_000, attestry_file::Durability::Sync).await
    );
}

mod buffered {
    attestry_conformance::suite!(
        crate::conformance::fresh(20_000, attestry_file::Durability::Buffered).await
    );
}
