//! One line of a segment: `attestry_core::line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|line: &[u8]| attestry_core::line::fuzzing::check(line));
