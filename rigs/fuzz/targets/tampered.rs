//! A small store with evidence, tampered with.
#![no_main]

use attestry_file::fuzzing::tampered;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::in_a_folder(tampered, bytes));
