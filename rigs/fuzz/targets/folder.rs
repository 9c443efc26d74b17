//! Any bytes in the files of a folder that is opened as a store.
#![no_main]

use attestry_file::fuzzing::folder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::in_a_folder(folder, bytes));
