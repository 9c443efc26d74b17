//! Shared by the fuzz targets.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Shared with the tests of `attestry-evidence`, which replay the corpus.
#[path = "../../../crates/evidence/tests/fuzz/properties.rs"]
pub mod evidence;

/// Shared with the tests of `attestry-anchor`, which replay the corpus.
#[path = "../../../crates/anchor/tests/fuzz/properties.rs"]
pub mod timestamps;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("attestry-fuzz-{}", std::process::id()));
    fs::create_dir(&path).expect("a new folder among the temporary files");
    path
});

/// Checks `property` on `bytes` with a temporary folder. libFuzzer exits without running destructors, so the caller of
/// the process removes the folder.
pub fn in_a_folder(property: fn(&Path, &[u8]), bytes: &[u8]) {
    property(&FOLDER, bytes);
}
