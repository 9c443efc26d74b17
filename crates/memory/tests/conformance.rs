//! The behaviour that every backend promises.

use attestry_conformance::Fresh;
use attestry_memory::MemoryStorage;

mod unlimited {
    use super::*;
    attestry_conformance::suite!(Fresh::new(MemoryStorage::new()));
}

/// A limit that is never reached changes nothing.
mod limited {
    use super::*;
    attestry_conformance::suite!(Fresh::new(MemoryStorage::with_max_entries(10_000)));
}
