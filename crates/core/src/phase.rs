//! Which of the two entries of a call a query selects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AuditEntry, metadata};

/// Which entries of calls a [`Query`](crate::Query) selects. A call that was recorded when it started has
/// a start entry and, once it ended, an end entry; an entry of any other kind is a whole call.
///
/// The end entry of a start entry is one whose metadata [`CALL`](metadata::CALL) is the id of the start
/// entry, and whose timestamp is not before that of the start entry. Whether it exists is looked up in the
/// whole store, so range, conditions, limit and cursor of the query do not matter.
///
/// Serialised as `all`, `latest`, `start`, `end` and `open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Phase {
    /// All entries.
    #[default]
    All,
    /// Each call once: all entries but start entries that have an end entry.
    Latest,
    /// Start entries.
    Start,
    /// End entries.
    End,
    /// Start entries without an end entry: calls that are running, or whose process was killed.
    Open,
}

impl Phase {
    /// What the entry itself says; whether a start entry has an end is not known.
    pub(crate) fn may_select(self, entry: &AuditEntry) -> bool {
        match self {
            Self::All | Self::Latest => true,
            Self::Start | Self::Open => entry.phase() == Some(metadata::PHASE_START),
            Self::End => entry.phase() == Some(metadata::PHASE_END),
        }
    }

    /// Whether other entries decide what is selected.
    pub(crate) fn needs_ends(self) -> bool {
        matches!(self, Self::Latest | Self::Open)
    }

    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Latest => "latest",
            Self::Start => "start",
            Self::End => "end",
            Self::Open => "open",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text is none of the phases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected latest, all, start, end or open")]
#[non_exhaustive]
pub struct InvalidPhase;

impl FromStr for Phase {
    type Err = InvalidPhase;

    fn from_str(text: &str) -> Result<Self, InvalidPhase> {
        [Self::All, Self::Latest, Self::Start, Self::End, Self::Open]
            .into_iter()
            .find(|phase| phase.name() == text)
            .ok_or(InvalidPhase)
    }
}
