//! Properties of the files of a tree and of a store with evidence, for any bytes in them.
#![allow(clippy::missing_panics_doc)] // a property panics when it does not hold

mod hostile;
mod tampered;
mod tree;

use std::path::Path;

use crate::fs::layout::Folder;
pub use hostile::hostile;
pub use tampered::tampered;
pub use tree::tree;

/// The complete lines of all segments that are not blank, without their line breaks.
fn lines(folder: &Folder) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for found in folder.list().expect("a folder can be listed") {
        let bytes = read(&folder.segment(found.name));
        let complete = bytes.split_inclusive(|byte| *byte == b'\n');
        lines.extend(complete.filter_map(|line| line.strip_suffix(b"\n")).map(<[u8]>::to_vec));
    }
    lines.retain(|line| !line.trim_ascii().is_empty());
    lines
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the file exists")
}

/// Writes a file, and creates its folders.
fn write(path: &Path, content: &[u8]) {
    let created = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    created.and_then(|()| std::fs::write(path, content)).expect("the file can be written");
}
