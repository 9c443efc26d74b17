//! Any bytes as a segment: its lines, by each index.
#![no_main]

use attestry_file::fuzzing::segment;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::in_a_folder(segment, bytes));
