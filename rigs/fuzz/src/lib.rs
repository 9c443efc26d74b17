//! What the fuzz targets share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("attestry-fuzz-{}", std::process::id()));
    fs::create_dir(&path).expect("a new folder among the temporary files");
    path
});

/// Holds `bytes` against `property`, which gets a folder that it may fill. libFuzzer ends the
/// process without a chance to remove it; whoever starts the process does.
pub fn in_a_folder(property: fn(&Path, &[u8]), bytes: &[u8]) {
    property(&FOLDER, bytes);
}
