//! Any text in the formats of the evidence.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_evidence::fuzzing::note(bytes));
