//! Addresses of the entries that a number counts.

use attestry::{MetadataCondition, metadata};

use crate::overview::cell::{CUT, Dimension, Outcome};
use crate::overview::time::Range;
use crate::viewer::url;

/// The calls of a range.
pub(super) fn calls(range: Range) -> String {
    with(range, &[])
}

pub(super) fn outcome(range: Range, outcome: Outcome) -> String {
    let condition = MetadataCondition::equals(metadata::OUTCOME, outcome.value()).to_string();
    with(range, &[("metadata", &condition)])
}

pub(super) fn unsafe_calls(range: Range) -> String {
    with(range, &[("safety_passed", "false")])
}

/// Calls without an end.
pub(super) fn open(range: Range) -> String {
    with_phase(range, "open", &[])
}

/// The calls with a name; `None` if the name was cut.
pub(super) fn name(range: Range, dimension: Dimension, name: &str) -> Option<String> {
    if name.ends_with(CUT) {
        return None;
    }
    Some(match dimension {
        Dimension::Model => with(range, &[("model", name)]),
        Dimension::Provider => with(range, &[("provider", name)]),
        Dimension::Detector => with(range, &[("detector", name)]),
        Dimension::User => {
            let condition = MetadataCondition::equals(metadata::USER, name).to_string();
            with(range, &[("metadata", &condition)])
        }
    })
}

fn with(range: Range, filters: &[(&str, &str)]) -> String {
    with_phase(range, "latest", filters)
}

fn with_phase(range: Range, phase: &str, filters: &[(&str, &str)]) -> String {
    let (since, until) = (range.since().to_string(), range.until().to_string());
    let range = [("since", since.as_str()), ("until", until.as_str()), ("phase", phase)];
    url::with_query(url::ENTRIES, &[&range, filters].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_select_the_range_and_the_name() {
        let range = Range { start: 0, end: 3_600_000_000 };
        assert_eq!(
            name(range, Dimension::User, "17 &").as_deref(),
            Some(
                "/entries?since=1970-01-01T00:00:00&until=1970-01-01T00:59:59.999999&phase=latest&metadata=user.id%3D17%20%26"
            )
        );
        let number = name(range, Dimension::User, "17").unwrap();
        assert!(number.ends_with("metadata=user.id%3D%2217%22"), "{number}");
        assert_eq!(name(range, Dimension::Model, "long…"), None);
    }
}
