//! Segments of hundreds of lines, which fill several blocks of an index file.
#![no_main]

use attestry_file::fuzzing::many_lines;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::in_a_folder(many_lines, bytes));
