//! Texts of the page of a conversation.

pub(in crate::viewer) const TITLE: &str = "Conversation";
pub(in crate::viewer) const NO_ID: &str = "which conversation? /conversations?id=ID";
pub(in crate::viewer) const SHOW: &str = "Show the content";
pub(in crate::viewer) const HIDE: &str = "Hide the content";
pub(in crate::viewer) const SHOWING_IS_RECORDED: &str =
    "That you have seen it is then in the access log.";
pub(in crate::viewer) const NOT_ALLOWED: &str = "Content is for the roles content and admin.";
pub(in crate::viewer) const UNREADABLE: &str = "A record cannot be read:";
pub(in crate::viewer) const PAGES: &str = "Pages of the conversation";
pub(in crate::viewer) const EARLIER: &str = "Earlier";
pub(in crate::viewer) const LATER: &str = "Later";
pub(in crate::viewer) const TOOL: &str = "tool";
pub(in crate::viewer) const SAFETY: &str = "safety checks";
pub(in crate::viewer) const NO_END: &str = "has no end: running, or its process was killed";
pub(in crate::viewer) const DIFFERS: &str = "content does not match its hash";
pub(in crate::viewer) const NOT_IN_TREE: &str = "line is not in the tree";
pub(in crate::viewer) const NOT_PROVEN: &str = "line cannot be proven";
pub(in crate::viewer) const ERASED: &str = "erased since this page was read";
pub(in crate::viewer) const NOT_SIGNED: &str = "no checkpoint yet";
pub(in crate::viewer) const ENTRY: &str = "Entry";
pub(in crate::viewer) const CHECKPOINT: &str = "The signed checkpoint that covers these turns";
pub(in crate::viewer) const HASHES: &str = "Hashes of input and output:";
pub(in crate::viewer) const MASKED: &str = "Input and output are not shown.";
pub(in crate::viewer) const NOT_STORED: &str = "Only the hashes of input and output were stored.";
pub(in crate::viewer) const CANNOT_SHOW: &str =
    "The content does not match its hash and is not shown.";
pub(in crate::viewer) const CANNOT_CHECK: &str =
    "The content cannot be compared with its hash here:";
pub(in crate::viewer) const INPUT: &str = "Input";
pub(in crate::viewer) const OUTPUT: &str = "Output";
pub(in crate::viewer) const CUT: &str = "The text is longer than this page shows.";
pub(in crate::viewer) const WHOLE: &str = "Show the whole entry";
pub(in crate::viewer) const INTACT: &str = "No turn of this page was found changed: contents match their hashes, and lines are in the Merkle tree.";
pub(in crate::viewer) const NO_EVIDENCE: &str = "Contents that are stored match their hashes. The store keeps no evidence: whether \
     lines were changed cannot be shown.";

pub(in crate::viewer) fn not_found(id: &str) -> String {
    format!("there is no entry of the conversation {id}")
}

pub(in crate::viewer) fn turns(count: usize) -> String {
    match count {
        1 => "1 turn on this page:".to_owned(),
        _ => format!("{count} turns on this page:"),
    }
}

pub(in crate::viewer) fn broken(count: u32) -> String {
    match count {
        1 => "1 turn of this page is not what was recorded; it is marked.".to_owned(),
        _ => format!("{count} turns of this page are not what was recorded; they are marked."),
    }
}

pub(in crate::viewer) fn unchecked(count: u32) -> String {
    match count {
        1 => "The content of 1 turn of this page could not be compared with its hash; the turn says why.".to_owned(),
        _ => format!(
            "The contents of {count} turns of this page could not be compared with their hashes; each turn says why."
        ),
    }
}

pub(in crate::viewer) fn earlier(count: usize) -> String {
    match count {
        1 => "After 1 earlier message:".to_owned(),
        _ => format!("After {count} earlier messages:"),
    }
}

pub(in crate::viewer) fn leaf(index: u64) -> String {
    format!("Leaf {index}.")
}

/// A pause in its two largest units.
pub(in crate::viewer) fn pause(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min later"),
        (0, _) => format!("{hours} h {minutes} min later"),
        _ => format!("{days} d {hours} h later"),
    }
}
