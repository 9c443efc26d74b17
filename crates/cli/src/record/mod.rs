//! Decodes one record of an input: an interaction, or an entry as `export` writes it.
//!
//! Most records are what [`Interaction::from_json`] accepts. Others are decoded field by field, with the
//! tolerances that `docs/importing.md` lists; a refusal names the field and what would be accepted.

mod content;
mod exported;
mod fields;
mod odd;
mod time;

use attestry::{AuditEntry, Interaction};

pub(crate) use self::content::canonical;
pub(crate) use self::odd::oddity;

/// What a line of an input holds.
pub(crate) enum Record {
    Interaction(Interaction<'static>),
    /// An entry that `export` wrote, which is recorded as it is.
    Entry(AuditEntry),
}

/// Decodes `line`, which has no surrounding white space.
pub(crate) fn decode(line: &[u8]) -> Result<Record, String> {
    match Interaction::from_json(line) {
        Ok(interaction) => Ok(Record::Interaction(interaction)),
        Err(_) if exported::is_entry(line) => exported::decode(line).map(Record::Entry),
        Err(error) => fields::decode(line, &error).map(Record::Interaction),
    }
}

/// Whether `stored` is the entry of the same interaction as `new`, which has the same id. Contents are
/// compared by their hashes, since encryption gives another text each time, and times unless `new` was
/// `dated_now`.
pub(crate) fn is_same_interaction(stored: &AuditEntry, new: &AuditEntry, dated_now: bool) -> bool {
    let comparable = |entry: &AuditEntry| AuditEntry {
        input_content: None,
        output_content: None,
        timestamp: if dated_now { stored.timestamp } else { entry.timestamp },
        ..entry.clone()
    };
    comparable(stored) == comparable(new)
}
