//! Texts of the overview.

use super::super::number::thousands;

pub(in crate::viewer) const TITLE: &str = "Overview";
pub(in crate::viewer) const RANGE: &str = "Time";
pub(in crate::viewer) const FROM: &str = "From";
pub(in crate::viewer) const TO: &str = "To";
pub(in crate::viewer) const UTC: &str = "UTC";
pub(in crate::viewer) const LOCAL: &str = "local time";
pub(in crate::viewer) const SHOW: &str = "Show";
pub(in crate::viewer) const EXACT: &str = "Exact times";
pub(in crate::viewer) const WHOLE_HOURS: &str =
    "Whole hours are counted; of a longer time or one that is more than 35 days ago, whole days.";
pub(in crate::viewer) const SHOWN: &str = "Counted are whole hours or days:";
pub(in crate::viewer) const ALL: &str = "All";

pub(in crate::viewer) const CALLS: &str = "Calls";
pub(in crate::viewer) const FAILED: &str = "Failed";
pub(in crate::viewer) const CUT_OFF: &str = "Cut off";
pub(in crate::viewer) const ABANDONED: &str = "Abandoned";
pub(in crate::viewer) const BLOCKED: &str = "Blocked";
pub(in crate::viewer) const OPEN: &str = "Without an end";
pub(in crate::viewer) const UNSAFE: &str = "Failed safety checks";
pub(in crate::viewer) const COMPLETED: &str = "Other";
pub(in crate::viewer) const INPUT_TOKENS: &str = "Input tokens";
pub(in crate::viewer) const OUTPUT_TOKENS: &str = "Output tokens";
pub(in crate::viewer) const MEDIAN: &str = "Median latency";
pub(in crate::viewer) const P90: &str = "90th percentile";
pub(in crate::viewer) const P99: &str = "99th percentile";
pub(in crate::viewer) const CALLS_OVER_TIME: &str = "Calls over time";
pub(in crate::viewer) const TOKENS_OVER_TIME: &str = "Tokens over time";
pub(in crate::viewer) const LATENCY_OVER_TIME: &str = "Latency over time";
pub(in crate::viewer) const AT_MOST: &str = "At most";
pub(in crate::viewer) const DATA: &str = "Data";
pub(in crate::viewer) const SINCE: &str = "Since";

pub(in crate::viewer) const MODELS: &str = "Models";
pub(in crate::viewer) const PROVIDERS: &str = "Providers";
pub(in crate::viewer) const USERS: &str = "Users";
pub(in crate::viewer) const DETECTORS: &str = "Detectors that triggered";
pub(in crate::viewer) const NAME: &str = "Name";
pub(in crate::viewer) const SHARE: &str = "Share";
pub(in crate::viewer) const NOTHING: &str = "None in this time.";

pub(in crate::viewer) const COUNTED: &str = "Counted at";
pub(in crate::viewer) const FIRST_COUNT: &str =
    "The store is being counted, newest entries first; the page is loaded again until it is done.";
pub(in crate::viewer) const COUNTED_BACK_TO: &str = "Counted so far: entries since";
pub(in crate::viewer) const NOT_COUNTED_BEFORE: &str =
    "The store has too many days to count them all. Not counted are entries before";
pub(in crate::viewer) const NO_CALLS: &str = "No calls in this time.";
pub(in crate::viewer) const NEWEST: &str = "The newest entry is of";
pub(in crate::viewer) const SHOW_ALL: &str = "Show all";
pub(in crate::viewer) const EMPTY: &str = "The store has no entries yet.";
pub(in crate::viewer) const FAILED_TO_COUNT: &str =
    "The figures could not be brought up to date; the log of the server has the reason, too:";

/// Names beyond the first ones.
pub(in crate::viewer) fn more_names(count: u64) -> String {
    format!("and {} more", thousands(count))
}

pub(in crate::viewer) fn left_out(count: u64) -> String {
    format!(
        "There are too many names to count them all: {} calls of the rarer ones are left out, so the figures are lower \
         bounds.",
        thousands(count)
    )
}

pub(in crate::viewer) fn open_left_out(count: u64) -> String {
    format!("{} more calls without an end are not counted: there are too many.", thousands(count))
}

pub(in crate::viewer) fn unreadable(count: u64) -> String {
    let records = if count == 1 { "record" } else { "records" };
    format!(
        "{} {records} of the store cannot be read and are not counted; `attestry check` names them.",
        thousands(count)
    )
}

/// What a chart shows, as text.
pub(in crate::viewer) fn description(
    title: &str,
    points: usize,
    highest: &str,
    at: &str,
) -> String {
    let points = if points == 1 { "1 point".to_owned() } else { format!("{points} points") };
    format!("{title}: {points}; the highest is {highest}, at {at}. The table below has all values.")
}
