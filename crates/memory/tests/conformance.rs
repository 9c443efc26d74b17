//! The conformance suite.

use attestry_conformance::Fresh;
use attestry_memory::MemoryStorage;

mod unlimited {
    use super::*;
    attestry_conformance::suite!(Fresh::new(MemoryStorage::new()));
}

/// A limit that is not reached has no effect.
mod limited {
    use super::*;
    attestry_conformance::suite!(Fresh::new(MemoryStorage::with_max_entries(10_000)));
}
