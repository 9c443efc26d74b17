//! Any bytes as an erasure intent log.
#![no_main]

use attestry_file::fuzzing::intent_log;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::in_a_folder(intent_log, bytes));
