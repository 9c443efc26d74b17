//! A small store with evidence whose files are sparse, absurdly long or not regular.
#![no_main]

use attestry_file::fuzzing::hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::in_a_folder(hostile, bytes));
