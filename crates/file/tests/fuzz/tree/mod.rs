//! What must hold of any bytes in the files of a tree, and of a store that was meddled with.
#![allow(clippy::missing_panics_doc)] // panicking is what a property is for

mod tampered;
mod tree;

use std::path::Path;

use crate::fs::layout::Folder;
pub use tampered::tampered;
pub use tree::tree;

/// The whole lines of all segments that are not blank, without their line breaks.
fn lines(folder: &Folder) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for found in folder.list().expect("a folder can be listed") {
        let bytes = read(&folder.segment(found.name));
        let whole = bytes.split_inclusive(|byte| *byte == b'\n');
        lines.extend(whole.filter_map(|line| line.strip_suffix(b"\n")).map(<[u8]>::to_vec));
    }
    lines.retain(|line| !line.trim_ascii().is_empty());
    lines
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("it is there")
}

/// Writes a file, and the folders it lies in.
fn write(path: &Path, content: &[u8]) {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, content)).expect("the folder takes a file");
}
