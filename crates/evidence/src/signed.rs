//! A checkpoint with its signatures, as text.

use std::fmt;
use std::str::FromStr;

use signed_note::Note;

use crate::{Checkpoint, OpenError};

/// A signed checkpoint: a signed note (C2SP signed-note) whose text is a [`Checkpoint`].
///
/// Parsing checks the form only, not the signatures: [`Policy::open`](crate::Policy::open) does.
///
/// ```
/// use attestry_evidence::{Hash, OpenError, SignedCheckpoint, SigningKey};
///
/// let key = SigningKey::generate("example.com/audit")?;
/// let signed = key.sign(0, Hash::EMPTY_TREE);
/// assert_eq!(signed.as_str().parse(), Ok(signed));
/// assert_eq!("no note".parse::<SignedCheckpoint>(), Err(OpenError::NotANote));
/// # Ok::<(), attestry_evidence::InvalidKey>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignedCheckpoint(String);

impl SignedCheckpoint {
    pub(crate) fn new_unchecked(text: String) -> Self {
        Self(text)
    }

    /// The text of the note: the checkpoint, an empty line and signature lines.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SignedCheckpoint {
    type Err = OpenError;

    /// Fails with [`OpenError::NotANote`] or [`OpenError::NotACheckpoint`].
    fn from_str(text: &str) -> Result<Self, OpenError> {
        let note = Note::from_bytes(text.as_bytes()).map_err(|_| OpenError::NotANote)?;
        let _: Checkpoint =
            str::from_utf8(note.text()).map_err(|_| OpenError::NotANote)?.parse()?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for SignedCheckpoint {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<SignedCheckpoint> for String {
    fn from(checkpoint: SignedCheckpoint) -> Self {
        checkpoint.0
    }
}
