//! What must hold of any bytes in a folder. The fuzz targets of `rigs/fuzz/` look for bytes of which it
//! does not; the tests here replay those that were found, and the ones they started from.
//!
//! Each property takes a folder that it may fill, and the bytes.
#![allow(clippy::missing_panics_doc)] // panicking is what a property is for

mod folder;

pub use crate::erase::fuzzing::journal;
pub use crate::segment::fuzzing::{index_file, many_lines, segment};
#[cfg(feature = "evidence")]
pub use crate::tree::fuzzing::{tampered, tree};
pub use folder::folder;

/// The parts of an input that has several: the length of each in two bytes, then the part. The
/// last one ends with the input.
pub(crate) fn sections(mut input: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = input.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (section, rest) = rest.split_at(length);
        input = rest;
        Some(section)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn holds_for_the_corpus_of(target: &str, property: fn(&Path, &[u8])) {
        let corpus =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rigs/fuzz/corpus").join(target);
        let files: Vec<_> =
            fs::read_dir(&corpus).unwrap().map(|item| item.unwrap().path()).collect();
        assert!(files.len() > 5, "the corpus is in rigs/fuzz/corpus");
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            property(folder.path(), &fs::read(file).unwrap());
        }
    }

    #[test]
    fn segments() {
        holds_for_the_corpus_of("segment", segment);
    }

    #[test]
    fn segments_of_many_lines() {
        holds_for_the_corpus_of("many_lines", many_lines);
    }

    #[test]
    fn index_files() {
        holds_for_the_corpus_of("index_file", index_file);
    }

    #[test]
    fn journals() {
        holds_for_the_corpus_of("journal", journal);
    }

    #[cfg(feature = "evidence")]
    #[test]
    fn trees() {
        holds_for_the_corpus_of("tree", tree);
    }

    #[cfg(feature = "evidence")]
    #[test]
    fn tampered_stores() {
        holds_for_the_corpus_of("tampered", tampered);
    }

    #[test]
    fn folders() {
        holds_for_the_corpus_of("folder", folder);
    }
}
