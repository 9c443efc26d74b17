//! Roles of tokens.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Record interactions and calls. Does not read: a service that records needs no access to what others
    /// have recorded.
    Record,
    /// Read entries without their content, statistics, proofs and metrics.
    Read,
    /// [`Read`](Self::Read), and the content of entries, decrypted if the server has the key.
    Content,
    /// Everything, also erasing.
    Admin,
}

/// The text is not the name of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected the role record, read, content or admin")]
#[non_exhaustive]
pub struct InvalidRole;

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Record, Self::Read, Self::Content, Self::Admin];

    /// Its name: `record`, `read`, `content` or `admin`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Read => "read",
            Self::Content => "content",
            Self::Admin => "admin",
        }
    }

    /// Whether a token of this role may do what `needed` allows.
    ///
    /// ```
    /// use attestry_serve::Role;
    /// assert!(Role::Content.allows(Role::Read));
    /// assert!(!Role::Content.allows(Role::Record));
    /// ```
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        self == Self::Admin || self == needed || (self, needed) == (Self::Content, Self::Read)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidRole;
    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(InvalidRole)
    }
}
