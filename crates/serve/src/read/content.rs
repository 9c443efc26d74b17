//! What a client sees of the content of an entry.

use attestry::{AuditEntry, AuditError, AuditLogger, Query, metadata};

use crate::http::problem::Problem;
use crate::security::caller::Caller;
use crate::security::role::Role;

/// How content is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Not at all, nor what an imported record has besides, which may be texts.
    Hidden,
    /// As it is stored: encrypted, if it was stored so.
    AsStored,
    /// As text.
    Decrypted,
}

impl Shown {
    /// What `caller` gets.
    pub(crate) fn to(caller: &Caller, decrypt: bool) -> Result<Self, Problem> {
        if decrypt {
            caller.require(Role::Content)?;
            return Ok(Self::Decrypted);
        }
        Ok(if caller.may(Role::Content) { Self::AsStored } else { Self::Hidden })
    }

    /// Shows or hides the content of `entry`.
    pub(crate) fn apply(
        self,
        logger: &AuditLogger,
        mut entry: AuditEntry,
    ) -> Result<AuditEntry, AuditError> {
        match self {
            Self::AsStored => {}
            Self::Hidden => {
                (entry.input_content, entry.output_content) = (None, None);
                entry.metadata.remove(metadata::OTHER);
            }
            Self::Decrypted => {
                let content = logger.decrypt_entry(&entry)?;
                (entry.input_content, entry.output_content) = (content.input, content.output);
            }
        }
        Ok(entry)
    }
}

/// Fails if which entries `query` selects says what is in content that `caller` does not see.
pub(crate) fn require_for_conditions(caller: &Caller, query: &Query) -> Result<(), Problem> {
    let reveals = query.text_contains.is_some()
        || query.metadata.iter().any(|condition| condition.key == metadata::OTHER);
    if reveals { caller.require(Role::Content) } else { Ok(()) }
}
