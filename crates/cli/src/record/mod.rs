//! Decodes one record of an input: an interaction, or an entry as `export` writes it.
//!
//! Tolerances are those of [`interaction_from_json`].

mod exported;
mod odd;

use attestry::{AuditEntry, Interaction};
use attestry_genai::interaction_from_json;

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
        Err(_) => {
            interaction_from_json(line).map(Record::Interaction).map_err(|error| error.reason)
        }
    }
}
