//! Any bytes as an erasure journal.
#![no_main]

use attestry_file::fuzzing::journal;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::in_a_folder(journal, bytes));
