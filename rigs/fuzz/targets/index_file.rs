//! Any blocks as an index file.
#![no_main]

use attestry_file::fuzzing::index_file;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::in_a_folder(index_file, bytes));
