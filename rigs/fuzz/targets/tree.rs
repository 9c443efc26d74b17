//! Any bytes in the files of a tree.
#![no_main]

use attestry_file::fuzzing::tree;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::in_a_folder(tree, bytes));
