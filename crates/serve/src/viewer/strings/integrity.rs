//! Texts of the page about integrity.

use super::super::number::thousands;

pub(in crate::viewer) const TITLE: &str = "Integrity";
pub(in crate::viewer) const NOT_VERIFIED: &str = "Not verified since this server started. Start a verification to know whether the record is intact.";
pub(in crate::viewer) const VERIFIED: &str = "Verified";
pub(in crate::viewer) const OLD: &str =
    "That is more than a day ago: verify again to know about the record as it is now.";
pub(in crate::viewer) const RUNNING: &str = "A verification is running.";
pub(in crate::viewer) const NO_EVIDENCE: &str = "This store keeps no evidence, so nothing shows whether records were changed or removed. A store in a folder keeps evidence when it is written with --signing-key.";
pub(in crate::viewer) const NOT_COMPLETED: &str =
    "The last verification failed, so it is not known whether the record is intact.";
pub(in crate::viewer) const VERIFY: &str = "Verify now";
pub(in crate::viewer) const VERIFY_HELP: &str = "Reads the whole store and compares each record with the Merkle tree and the signed checkpoints. It goes on if you leave the page, and is recorded in the access log.";
pub(in crate::viewer) const PROGRESS: &str = "Progress of the verification";
pub(in crate::viewer) const NO_KEY: &str = "No public key is configured, so signatures are not verified: start the server with --public-key.";

pub(in crate::viewer) const LAST_VERIFICATION: &str = "Last verification";
pub(in crate::viewer) const AT: &str = "Time";
pub(in crate::viewer) const DURATION: &str = "Duration";
pub(in crate::viewer) const RECORDS: &str = "Records that are as they were logged";
pub(in crate::viewer) const ERASED: &str = "Records whose erasure is recorded";
pub(in crate::viewer) const CHECKPOINTS_COMPARED: &str = "Checkpoints compared";
pub(in crate::viewer) const SIGNED: &str = "Covered by a signed checkpoint";
pub(in crate::viewer) const NOT_COVERED: &str = "Not in the tree yet";
pub(in crate::viewer) const ADOPTED: &str = "There before evidence was kept";
pub(in crate::viewer) const PROBLEMS: &str = "Problems";
pub(in crate::viewer) const OBSERVATIONS: &str = "Notes";
pub(in crate::viewer) const KIND: &str = "Kind";
pub(in crate::viewer) const WHERE: &str = "Where";
pub(in crate::viewer) const REASON: &str = "Reason";

pub(in crate::viewer) const CHECKPOINT: &str = "Newest checkpoint";
pub(in crate::viewer) const NO_CHECKPOINT: &str = "No checkpoint was signed yet: all of the history is soft, that is, the owner of disk and key can still rewrite it.";
pub(in crate::viewer) const ORIGIN: &str = "Log";
pub(in crate::viewer) const LEAVES: &str = "Leaves that it covers";
pub(in crate::viewer) const SIGNED_AT: &str = "Signed";
pub(in crate::viewer) const UNKNOWN_TIME: &str = "at a time that is not known";
pub(in crate::viewer) const SIGNING_FAILS: &str =
    "The checkpoint that is due cannot be signed; the log of the server says why.";
pub(in crate::viewer) const SINCE_THEN: &str = "Entries since then are covered by no checkpoint:";
pub(in crate::viewer) const SHOW_THEM: &str = "show them";
pub(in crate::viewer) const DOWNLOAD: &str = "The signed checkpoint as text";

pub(in crate::viewer) const ELSEWHERE: &str = "Checkpoints kept elsewhere";
pub(in crate::viewer) const NOWHERE: &str = "No checkpoint was handed over to another place, so the owner of disk and key can rewrite the whole history unnoticed. `attestry checkpoint --help` says how to hand them over.";
pub(in crate::viewer) const SOFT: &str = "What was logged after the newest of them is soft: the owner of disk and key can still rewrite it.";
pub(in crate::viewer) const PLACE: &str = "Place";
pub(in crate::viewer) const HAS: &str = "Has leaves";
pub(in crate::viewer) const AS_OF: &str = "As of";
pub(in crate::viewer) const FAILURES: &str = "Failures since";
pub(in crate::viewer) const LAST_ERROR: &str = "Last error";

pub(in crate::viewer) const ERASURES: &str = "Erasures on record";
pub(in crate::viewer) const NO_ERASURES: &str = "Nothing was erased.";
pub(in crate::viewer) const BY: &str = "By";
pub(in crate::viewer) const LEAF: &str = "Leaf";
pub(in crate::viewer) const COUNT: &str = "Records";
pub(in crate::viewer) const SIGNATURE: &str = "Signature";

pub(in crate::viewer) const OPEN_CALLS: &str = "Calls without an end";
pub(in crate::viewer) const OPEN_HELP: &str =
    "A call that started and has no end is still running, or its process was killed.";
pub(in crate::viewer) const BEING_COUNTED: &str =
    "The store is being counted; load the page again.";

pub(in crate::viewer) const QUARANTINE: &str = "Quarantine";
pub(in crate::viewer) const QUARANTINE_EMPTY: &str = "Empty: no crash has cut a line short.";
pub(in crate::viewer) const QUARANTINE_HELP: &str = "Lines that a crash cut short. They were never acknowledged. `attestry quarantine` shows and removes them.";
pub(in crate::viewer) const NAME: &str = "Name";
pub(in crate::viewer) const BYTES: &str = "Bytes";
pub(in crate::viewer) const SINCE: &str = "Since";

pub(in crate::viewer) fn intact(records: &str, checkpoints: u64) -> String {
    let compared = match checkpoints {
        0 => "; there was no checkpoint to compare with".to_owned(),
        1 => " and a checkpoint".to_owned(),
        many => format!(" and {} checkpoints", thousands(many)),
    };
    format!("The record is intact: {records} records match the Merkle tree{compared}.")
}

pub(in crate::viewer) fn not_intact(problems: u64) -> String {
    let problems = if problems == 1 {
        "1 problem was".to_owned()
    } else {
        format!("{} problems were", thousands(problems))
    };
    format!("The record is not intact: {problems} found.")
}

pub(in crate::viewer) fn unlisted(count: u64) -> String {
    format!("{} more problems are not listed.", thousands(count))
}

pub(in crate::viewer) fn earlier(count: usize) -> String {
    format!(
        "{} earlier ones are not listed; `attestry erasures` prints all.",
        thousands(count as u64)
    )
}

pub(in crate::viewer) fn verified_so_far(done: u64, total: u64) -> String {
    format!("{} of {} leaves", thousands(done), thousands(total))
}

pub(in crate::viewer) fn ago(age: &str) -> String {
    format!("{age} ago")
}
