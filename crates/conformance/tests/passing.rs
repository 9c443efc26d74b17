//! The suite on a backend of the five required methods: the provided ones are held to the same.

use std::sync::Arc;

use attestry_conformance::{Fresh, example::Five};

mod alone {
    use super::*;
    attestry_conformance::suite!(Fresh::new(Five::default()));
}

/// A guard and an awaited expression, and the backend behind two more pointers.
mod behind_pointers {
    use super::*;

    async fn fresh() -> Fresh {
        tokio::task::yield_now().await;
        Fresh::with_guard(Arc::new(Box::new(Five::default())), String::from("a folder"))
    }

    attestry_conformance::suite!(fresh().await);
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let cases = attestry_conformance::cases();
    let names: std::collections::BTreeSet<_> = cases.iter().map(|case| case.name()).collect();
    assert_eq!(names.len(), cases.len());
    assert!(names.contains("ranges::both_ends_are_inclusive"), "{names:?}");
}
