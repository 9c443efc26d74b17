//! Texts of the access log.

use crate::security::role::Role;

pub(in crate::viewer) const TITLE: &str = "Access log";
pub(in crate::viewer) const ABOUT: &str = "What was read, exported, decrypted, erased and verified, and by which token. Looking at this page is recorded, too.";
pub(in crate::viewer) const NONE: &str =
    "There is no access log: the store is not a folder, and --access-log names none.";
pub(in crate::viewer) const FILTERS: &str = "Filters";
pub(in crate::viewer) const CALLER: &str = "Token";
pub(in crate::viewer) const ACTION: &str = "Action";
pub(in crate::viewer) const ANY: &str = "any";
pub(in crate::viewer) const FROM: &str = "From";
pub(in crate::viewer) const TO: &str = "To";
pub(in crate::viewer) const SHOW: &str = "Show";
pub(in crate::viewer) const RESET: &str = "Without filters";
pub(in crate::viewer) const TIME: &str = "Time";
pub(in crate::viewer) const ADDRESS: &str = "Address";
pub(in crate::viewer) const COUNT: &str = "Entries";
pub(in crate::viewer) const REQUEST: &str = "Request";
pub(in crate::viewer) const OLDER: &str = "Older";
pub(in crate::viewer) const NEWEST: &str = "Newest";
pub(in crate::viewer) const NOTHING: &str = "Nothing matches.";
pub(in crate::viewer) const RUNNING: &str = "not ended";
pub(in crate::viewer) const TOKENS: &str = "Tokens and what they may do";
pub(in crate::viewer) const NO_TOKENS: &str =
    "No tokens are configured: every client that can connect may do everything.";
pub(in crate::viewer) const NAME: &str = "Name";
pub(in crate::viewer) const ROLE: &str = "Role";
pub(in crate::viewer) const MAY: &str = "May";

pub(in crate::viewer) fn may(role: Role) -> &'static str {
    match role {
        Role::Record => "record interactions and calls; sees nothing",
        Role::Read => "see entries without their content, statistics, proofs and metrics; verify",
        Role::Content => {
            "see entries and their content, decrypted if the server has the key; verify"
        }
        Role::Admin => "do everything: also erase, and see this page",
    }
}
