//! Properties of every reply of a timestamp authority. The fuzz target of `rigs/fuzz/` searches for counterexamples; the
//! test in `main.rs` replays the corpus.
//!
//! The authorities signed a few statements about the note and their keys are gone: no other statement can be true.
#![allow(clippy::missing_panics_doc)] // a violated property panics

use std::sync::LazyLock;

use attestry_anchor::{TimestampRoots, VerifiedTimestamp, verify_timestamp};

/// What was stamped.
const NOTE: &[u8] = include_bytes!("vectors/note");

static ROOTS: LazyLock<TimestampRoots> = LazyLock::new(|| {
    TimestampRoots::from_pem(include_bytes!("vectors/roots.pem")).expect("two certificates")
});

/// Time and serial number of each statement.
const SIGNED: [(&str, &str); 4] = [
    ("2026-11-27T18:40:06", "02"),
    ("2026-11-27T18:42:02", "02"),
    ("2026-11-27T18:42:02", "03"),
    ("2026-11-27T18:42:02", "04"),
];

/// The statement of a reply, if it is accepted.
#[must_use]
pub fn accepted(reply: &[u8]) -> Option<VerifiedTimestamp> {
    verify_timestamp(reply, NOTE, &ROOTS).ok()
}

/// A reply is refused, or states what was signed.
pub fn timestamp(reply: &[u8]) {
    if let Some(found) = accepted(reply) {
        let time = found.time.to_string();
        // The second one has a fraction of a second.
        let second = time.split('.').next().unwrap_or_default();
        assert!(SIGNED.contains(&(second, &*found.serial)), "{found:?}");
    }
}
