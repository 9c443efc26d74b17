//! Decodes one record of an input: an interaction, or an entry as `export` writes it.
//!
//! Most records are what [`Interaction::from_json`] accepts. Others are decoded field by field, with the
//! tolerances that `docs/importing.md` lists; a refusal names the field and what would be accepted.

mod content;
mod exported;
mod fields;
mod odd;

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
