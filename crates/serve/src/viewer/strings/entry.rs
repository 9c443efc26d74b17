//! Texts of the page of an entry.

use super::content::size;

pub(in crate::viewer) const TITLE: &str = "Entry";
pub(in crate::viewer) const CONTENT: &str = "Content";
pub(in crate::viewer) const INPUT: &str = "Input";
pub(in crate::viewer) const OUTPUT: &str = "Output";
pub(in crate::viewer) const SHOW: &str = "Show the content";
pub(in crate::viewer) const SHOWING_IS_RECORDED: &str =
    "That you have seen it is then in the access log, with your name and the time.";
pub(in crate::viewer) const NOT_ALLOWED: &str =
    "Content is for the roles content and admin; your token has the role read.";
pub(in crate::viewer) const NOT_STORED: &str = "Not stored: the entry has its hash only.";
pub(in crate::viewer) const CANNOT_SHOW: &str =
    "The content is not shown, because it does not match its hash or cannot be decrypted here.";
pub(in crate::viewer) const CUT_TEXT: &str = "The text is longer than this page shows.";
pub(in crate::viewer) const CUT: &str = "(cut; the stored line has all of it)";
pub(in crate::viewer) const NO_IMAGE: &str = "there is no image of a type that is shown";

pub(in crate::viewer) const CONTENT_MATCHES: &str = "The content matches its hash.";
pub(in crate::viewer) const CONTENT_NOT_STORED: &str =
    "The content was not stored. A copy of the text can be compared with the hash.";
pub(in crate::viewer) const CONTENT_DIFFERS: &str =
    "The content does not match its hash: it was changed after it was recorded.";
pub(in crate::viewer) const CONTENT_UNKNOWN: &str =
    "The content cannot be compared with its hash here:";
pub(in crate::viewer) const LINE_PROVEN: &str =
    "The line is in the Merkle tree of a checkpoint whose signature is valid.";
pub(in crate::viewer) const LINE_PROVEN_UNSIGNED: &str = "The line is in the Merkle tree of a checkpoint. The server has \
     no public key to verify the signature with; verify it yourself, below.";
pub(in crate::viewer) const SIGNATURE_BAD: &str =
    "The line is in the Merkle tree, but the signature of the checkpoint is not valid.";
pub(in crate::viewer) const LINE_NOT_SIGNED: &str = "The line is in the Merkle tree. No checkpoint covers it yet: until then the owner of the disk can still rewrite it.";
pub(in crate::viewer) const LINE_NOT_IN_TREE: &str = "The stored line is not in the Merkle tree: it was changed, or put into the store by another way.";
pub(in crate::viewer) const LINE_ERASED: &str = "The entry was erased while this page was made.";
pub(in crate::viewer) const LINE_NOT_KEPT: &str =
    "The store keeps no evidence: whether the line was changed cannot be shown.";
pub(in crate::viewer) const LINE_FAILED: &str = "The line cannot be proven:";

pub(in crate::viewer) const CALLER: &str = "Caller";
pub(in crate::viewer) const CONVERSATION: &str = "Conversation";
pub(in crate::viewer) const MODEL: &str = "Model";
pub(in crate::viewer) const PROVIDER: &str = "Provider";
pub(in crate::viewer) const MODEL_NAME: &str = "Model";
pub(in crate::viewer) const RESULT: &str = "Result";
pub(in crate::viewer) const OUTCOME: &str = "Outcome";
pub(in crate::viewer) const SAFETY: &str = "Safety checks";
pub(in crate::viewer) const DETECTORS: &str = "Detectors triggered";
pub(in crate::viewer) const BLOCK_REASON: &str = "Block reason";
pub(in crate::viewer) const ALERTS: &str = "Alerts";
pub(in crate::viewer) const USAGE: &str = "Usage";
pub(in crate::viewer) const INPUT_TOKENS: &str = "Input tokens";
pub(in crate::viewer) const OUTPUT_TOKENS: &str = "Output tokens";
pub(in crate::viewer) const LATENCY: &str = "Latency in ms";
pub(in crate::viewer) const TRACE: &str = "Trace";
pub(in crate::viewer) const RECORD: &str = "Record";
pub(in crate::viewer) const ID: &str = "Id";
pub(in crate::viewer) const TIMESTAMP: &str = "Time";
pub(in crate::viewer) const INPUT_HASH: &str = "Hash of the input";
pub(in crate::viewer) const OUTPUT_HASH: &str = "Hash of the output";
pub(in crate::viewer) const START_ENTRY: &str = "Start entry";
pub(in crate::viewer) const END_ENTRY: &str = "End entry";
pub(in crate::viewer) const ADDS_TO: &str = "Adds to";
pub(in crate::viewer) const CUSTOM: &str = "Other metadata";

pub(in crate::viewer) const EVIDENCE: &str = "Evidence";
pub(in crate::viewer) const LEAF: &str = "Leaf";
pub(in crate::viewer) const CHECKPOINT: &str = "Checkpoint";
pub(in crate::viewer) const ORIGIN: &str = "Log";
pub(in crate::viewer) const ROOT: &str = "Root hash";
pub(in crate::viewer) const CHECKPOINT_TEXT: &str = "The signed checkpoint";
pub(in crate::viewer) const PROOF_FILE: &str = "Inclusion proof";
pub(in crate::viewer) const LINE_FILE: &str = "Stored line";
pub(in crate::viewer) const RAW: &str = "The stored line";
pub(in crate::viewer) const YOURSELF: &str = "Verify it yourself";
pub(in crate::viewer) const YOURSELF_HELP: &str = "Take the two files from above, or from the store, and the public key of \
     the log from where you trust it. The commands need no server.";
pub(in crate::viewer) const ON_THE_STORE: &str = "# where the store is";
pub(in crate::viewer) const ANYWHERE: &str = "# anywhere";
pub(in crate::viewer) const CONTENT_COMMAND: &str = "# content, with the hash of this entry";

pub(in crate::viewer) fn not_found(id: &str) -> String {
    format!("there is no entry {id}; it may have been erased, which the integrity page would show")
}

pub(in crate::viewer) fn masked(input: usize, output: usize) -> String {
    format!("Input ({}) and output ({}) are not shown.", size(input), size(output))
}

pub(in crate::viewer) fn whole(side: &str, bytes: usize) -> String {
    format!("The whole {side} as a file ({})", size(bytes))
}

pub(in crate::viewer) fn checkpoint(leaves: u64) -> String {
    format!("of {leaves} leaves")
}

pub(in crate::viewer) fn more_keys(count: usize) -> String {
    format!("{count} more keys are in the stored line.")
}
