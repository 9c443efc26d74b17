//! Texts of the list of entries.

pub(in crate::viewer) const TITLE: &str = "Entries";
pub(in crate::viewer) const TIME: &str = "Time (UTC)";
pub(in crate::viewer) const ID: &str = "Id";
pub(in crate::viewer) const USER: &str = "User";
pub(in crate::viewer) const TENANT: &str = "Tenant";
pub(in crate::viewer) const PROVIDER: &str = "Provider";
pub(in crate::viewer) const MODEL: &str = "Model";
pub(in crate::viewer) const OPERATION: &str = "Operation";
pub(in crate::viewer) const TOOL: &str = "Tool";
pub(in crate::viewer) const CONVERSATION: &str = "Conversation";
pub(in crate::viewer) const OUTCOME: &str = "Outcome";
pub(in crate::viewer) const SAFETY: &str = "Safety";
pub(in crate::viewer) const DETECTOR: &str = "Detector";
pub(in crate::viewer) const DETECTORS: &str = "Detectors";
pub(in crate::viewer) const INPUT_TOKENS: &str = "Tokens in";
pub(in crate::viewer) const OUTPUT_TOKENS: &str = "Tokens out";
pub(in crate::viewer) const LATENCY: &str = "Latency (ms)";
pub(in crate::viewer) const PHASE: &str = "Phase";
pub(in crate::viewer) const NO_END: &str = "start entry";
pub(in crate::viewer) const SAFETY_PASSED: &str = "passed";
pub(in crate::viewer) const SAFETY_FAILED: &str = "failed";
pub(in crate::viewer) const SAFETY_NOT_CHECKED: &str = "not checked";

pub(in crate::viewer) const FILTERS: &str = "Filters and columns";
pub(in crate::viewer) const SINCE: &str = "Since (UTC)";
pub(in crate::viewer) const UNTIL: &str = "Until (UTC)";
pub(in crate::viewer) const TIME_FORM: &str = "2026-01-28T09:15:00";
pub(in crate::viewer) const ANY: &str = "any";
pub(in crate::viewer) const CALLS: &str = "Calls";
pub(in crate::viewer) const PHASE_LATEST: &str = "each call once";
pub(in crate::viewer) const PHASE_ALL: &str = "start and end entries";
pub(in crate::viewer) const PHASE_OPEN: &str = "without an end";
pub(in crate::viewer) const PHASE_START: &str = "start entries";
pub(in crate::viewer) const PHASE_END: &str = "end entries";
pub(in crate::viewer) const METADATA: &str = "Metadata";
pub(in crate::viewer) const METADATA_FORM: &str = "user.id=u-17";
pub(in crate::viewer) const TEXT: &str = "Text";
pub(in crate::viewer) const SIZE: &str = "Rows on a page";
pub(in crate::viewer) const COLUMNS: &str = "Columns";
pub(in crate::viewer) const COLUMN_OF_METADATA: &str = "Column of metadata";
pub(in crate::viewer) const COLUMN_FORM: &str = "metadata:team";
pub(in crate::viewer) const APPLY: &str = "Apply";
pub(in crate::viewer) const RESET: &str = "Reset";
pub(in crate::viewer) const FILTER_HELP: &str = "All conditions must hold, and values are compared as a whole. A date alone \
     is its first moment. A condition of metadata is KEY, or KEY=VALUE. In the name of a column, a comma is \
     %2C. The address of the page has the filters: it can be sent to a colleague.";

pub(in crate::viewer) const NEWEST_FIRST: &str = "Newest first";
pub(in crate::viewer) const OLDEST_FIRST: &str = "Oldest first";
pub(in crate::viewer) const LIVE: &str = "Show new entries as they come";
pub(in crate::viewer) const LIVE_ON: &str = "New entries are shown; stop";
pub(in crate::viewer) const LIVE_FAILED: &str = "New entries cannot be shown; try again";
pub(in crate::viewer) const LIVE_NEW: &str = "New entries were added.";
pub(in crate::viewer) const KEYS: &str = "Keys: j and k move, Enter opens, / goes to the filters";
pub(in crate::viewer) const UNREADABLE: &str = "A record cannot be read:";
pub(in crate::viewer) const NONE: &str = "No entry matches.";
pub(in crate::viewer) const PARTIAL: &str = "The search is not over: there may be more. Conditions without an index, and a search \
     for text, look at every entry; a time range makes that short.";
pub(in crate::viewer) const SEARCH_ALL: &str = "Search everything, which may take long";
pub(in crate::viewer) const PAGES: &str = "Pages of the list";
pub(in crate::viewer) const FIRST_PAGE: &str = "First page";
pub(in crate::viewer) const NEWER: &str = "Newer";
pub(in crate::viewer) const OLDER: &str = "Older";

pub(in crate::viewer) const DOWNLOAD: &str = "Download";
pub(in crate::viewer) const DOWNLOAD_HELP: &str =
    "All entries that match the filters, not only this page.";
pub(in crate::viewer) const JSONL: &str = "JSON Lines";
pub(in crate::viewer) const CSV: &str = "CSV";
pub(in crate::viewer) const JSONL_CONTENT: &str = "JSON Lines with content";
pub(in crate::viewer) const CSV_CONTENT: &str = "CSV with content";
pub(in crate::viewer) const PROOFS: &str = "Stored lines with proofs";
pub(in crate::viewer) const CONTENT_HELP: &str = "Each download is in the access log. Stored lines have the content as it is \
     stored; with their proofs they can be verified without the server.";
