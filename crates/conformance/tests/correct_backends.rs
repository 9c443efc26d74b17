//! A backend with only the required methods passes the suite, so the provided methods are correct.

use std::sync::Arc;

use attestry_conformance::{Fresh, example::MinimalBackend};

mod by_value {
    use super::*;
    attestry_conformance::suite!(Fresh::new(MinimalBackend::default()));
}

/// With a guard, an awaited expression, and two more pointers around the backend.
mod behind_pointers {
    use super::*;

    async fn fresh() -> Fresh {
        tokio::task::yield_now().await;
        Fresh::with_guard(Arc::new(Box::new(MinimalBackend::default())), String::from("a folder"))
    }

    attestry_conformance::suite!(fresh().await);
}

#[test]
fn case_names_are_unique() {
    let cases = attestry_conformance::cases();
    let names: std::collections::BTreeSet<_> = cases.iter().map(|case| case.name()).collect();
    assert_eq!(names.len(), cases.len());
    assert!(names.contains("ranges::both_ends_are_inclusive"), "{names:?}");
}
