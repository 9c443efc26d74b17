//! Texts around the content of entries.

pub(in crate::viewer) const FINISHED: &str = "Finished:";
pub(in crate::viewer) const REASONING: &str = "Reasoning";
pub(in crate::viewer) const TOOL_CALL: &str = "Calls the tool";
pub(in crate::viewer) const TOOL_RESULT: &str = "Result of the tool";
pub(in crate::viewer) const UPLOADED: &str = "uploaded as";
pub(in crate::viewer) const AT: &str = "at";
pub(in crate::viewer) const UNKNOWN_PART: &str = "Part of another type";
pub(in crate::viewer) const IMAGE_ALT: &str =
    "An image of the message; it cannot be shown if it is damaged";

pub(in crate::viewer) fn more_messages(count: usize) -> String {
    format!("{count} more messages are not shown on this page.")
}

pub(in crate::viewer) fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        _ => format!("{} MB", bytes.div_ceil(1_000_000)),
    }
}
