//! Properties that hold for any bytes in the files of a store. The fuzz targets in `rigs/fuzz/` search for
//! counterexamples; the tests here check the corpus.
//!
//! Each property gets a folder that it may overwrite, and the input; it panics on a counterexample.
//!
//! A module of the crate, because it tests private items; compiled for tests and with `cfg(fuzzing)` only.
#![allow(clippy::missing_panics_doc)]

mod folder;

pub use crate::erase::fuzzing::intent_log;
pub use crate::segment::fuzzing::{index_file, many_lines, segment};
#[cfg(feature = "evidence")]
pub use crate::tree::fuzzing::{hostile, tampered, tree};
pub use folder::folder;

/// Splits an input into sections: two bytes of length, then the section. The last section ends with the
/// input.
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

    fn check_corpus(target: &str, property: fn(&Path, &[u8])) {
        let corpus =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rigs/fuzz/corpus").join(target);
        let files: Vec<_> =
            fs::read_dir(&corpus).unwrap().map(|item| item.unwrap().path()).collect();
        assert!(files.len() > 5, "the corpus in rigs/fuzz/corpus is missing");
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            property(folder.path(), &fs::read(file).unwrap());
        }
    }

    #[test]
    fn segment_corpus_holds() {
        check_corpus("segment", segment);
    }

    #[test]
    fn many_lines_corpus_holds() {
        check_corpus("many_lines", many_lines);
    }

    #[test]
    fn index_file_corpus_holds() {
        check_corpus("index_file", index_file);
    }

    #[test]
    fn intent_log_corpus_holds() {
        check_corpus("intent_log", intent_log);
    }

    #[cfg(feature = "evidence")]
    #[test]
    fn tree_corpus_holds() {
        check_corpus("tree", tree);
    }

    #[cfg(feature = "evidence")]
    #[test]
    fn tampered_corpus_holds() {
        check_corpus("tampered", tampered);
    }

    #[cfg(feature = "evidence")]
    #[test]
    fn hostile_corpus_holds() {
        check_corpus("hostile", hostile);
    }

    #[test]
    fn folder_corpus_holds() {
        check_corpus("folder", folder);
    }
}
