//! Records: leaves of the tree that are not lines.

use std::fmt;

use signed_note::{Note, Signature, Verifier as _};
use thiserror::Error;

use crate::statement::Statement;
use crate::{ErasureRecord, Hash, InvalidErasure, LogKey, SigningKey, leaf_hash};

/// A statement about a log, signed, as a leaf of its tree.
///
/// It is a signed note (C2SP signed-note) of three lines: [`HEADER`](Self::HEADER), the origin of the log,
/// and the [`Statement`] as JSON. The data of its leaf is the whole note with its signatures.
///
/// Parsing checks the form only. [`LogKeys::check`](crate::LogKeys::check) checks the signatures.
///
/// # Domain separation
///
/// The data of a record's leaf contains line breaks; that of an entry's leaf does not
/// ([`line_hash`](crate::line_hash) rejects them). The signature of a record is none of a checkpoint,
/// whose second line is a number.
///
/// ```
/// use attestry_evidence::{LogKeys, SignedRecord, SigningKey, Statement};
///
/// let key = SigningKey::generate("example.com/audit")?;
/// let adopted = Statement::Adopted { leaves: 17, at: "2026-01-28T09:15:00".parse()? };
/// let record = SignedRecord::sign("example.com/audit", &adopted, &[&key])?;
/// assert!(record.note().starts_with("attestry-record/v1\nexample.com/audit\n{\"adopted\":{"));
/// assert_eq!(SignedRecord::from_note(record.note())?, record);
/// assert_eq!(LogKeys::new(key.public()).check(17, &record)?, &key.public());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    note: String,
    origin: String,
    statement: Statement,
}

/// Why a text is not a record.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// The text is not a signed note of three lines with the header of a record.
    #[error("the text is not a signed record")]
    NotARecord,
    /// The third line is not the JSON of a statement.
    #[error("the record contains no statement that is known")]
    Statement(#[source] serde_json::Error),
    /// The third line is the JSON of a statement, but not in canonical form.
    #[error("the statement of the record is not in canonical form")]
    NotCanonical,
    /// A text is longer than [`ErasureRecord::MAX_TEXT`].
    #[error(
        "the field {field} of a record has {length} bytes, more than {}",
        ErasureRecord::MAX_TEXT
    )]
    TooLong {
        /// The field.
        field: &'static str,
        /// The length of its text, in bytes.
        length: usize,
    },
    /// The origin is empty or not one line.
    #[error("the origin of a record must be one line of text")]
    Origin,
    /// The line is not an erasure record of the form without a signature.
    #[error("the line is not a record")]
    Erasure(#[from] InvalidErasure),
}

impl SignedRecord {
    /// The first line.
    pub const HEADER: &str = "attestry-record/v1";

    /// Signs a statement about the log `origin` with each of `keys`.
    ///
    /// # Errors
    ///
    /// [`InvalidRecord::Origin`], [`InvalidRecord::TooLong`]; [`InvalidRecord::NotARecord`] without keys.
    pub fn sign(
        origin: &str,
        statement: &Statement,
        keys: &[&SigningKey],
    ) -> Result<Self, InvalidRecord> {
        if origin.is_empty() || origin.contains(|c: char| c < ' ') {
            return Err(InvalidRecord::Origin);
        }
        let json = serde_json::to_string(statement).map_err(InvalidRecord::Statement)?;
        let text = format!("{}\n{origin}\n{json}\n", Self::HEADER);
        let signatures: String = keys.iter().map(|key| key.signature_line(&text)).collect();
        Self::from_note(&format!("{text}\n{signatures}"))
    }

    /// Parses a note.
    ///
    /// # Errors
    ///
    /// [`InvalidRecord`].
    pub fn from_note(note: &str) -> Result<Self, InvalidRecord> {
        let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| InvalidRecord::NotARecord)?;
        // The same bytes again: the leaf hash is that of one text only.
        if parsed.to_bytes() != note.as_bytes() {
            return Err(InvalidRecord::NotCanonical);
        }
        let text = str::from_utf8(parsed.text()).map_err(|_| InvalidRecord::NotARecord)?;
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        let [Self::HEADER, origin, json] = lines[..] else { return Err(InvalidRecord::NotARecord) };
        if origin.is_empty() {
            return Err(InvalidRecord::Origin);
        }
        let statement: Statement = serde_json::from_str(json).map_err(InvalidRecord::Statement)?;
        for (field, text) in statement.texts() {
            if text.len() > ErasureRecord::MAX_TEXT {
                return Err(InvalidRecord::TooLong { field, length: text.len() });
            }
        }
        if serde_json::to_string(&statement).ok().as_deref() != Some(json) {
            return Err(InvalidRecord::NotCanonical);
        }
        Ok(Self { note: note.to_owned(), origin: origin.to_owned(), statement })
    }

    /// The whole note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The origin of the log that it is about.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What it states.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Names and ids of the keys that it claims to be signed with, as `name+1a2b3c4d`.
    #[must_use]
    pub fn signers(&self) -> Vec<String> {
        let shown = |signature: Signature| format!("{}+{:08x}", signature.name(), signature.id());
        self.signatures().map(shown).collect()
    }

    /// Whether it has a valid signature of `key`.
    #[must_use]
    pub fn is_signed_by(&self, key: &LogKey) -> bool {
        self.signature_of(key) == Some(true)
    }

    /// Whether the signatures with the name and id of `key` are valid; `None` if there is none.
    pub(crate) fn signature_of(&self, key: &LogKey) -> Option<bool> {
        let text = &self.note[..self.text_len()];
        let is_of_key = |found: &Signature| found.name() == key.name() && found.id() == key.id();
        let mut of_key = self.signatures().filter(is_of_key).peekable();
        of_key.peek()?;
        Some(of_key.all(|found| key.0.verify(text.as_bytes(), found.signature())))
    }

    /// The length of the signed text, which ends before the empty line.
    fn text_len(&self) -> usize {
        self.note.rfind("\n\n").map_or(0, |at| at + 1)
    }

    fn signatures(&self) -> impl Iterator<Item = Signature> {
        let lines = self.note[self.text_len()..].lines();
        lines.filter_map(|line| Signature::from_bytes(line.as_bytes()).ok())
    }

    /// The hash of its leaf.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(self.note.as_bytes())
    }
}

/// A leaf that is not a line: signed, or an erasure record of the form that earlier versions wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// An erasure record without a signature.
    Unsigned(ErasureRecord),
    /// Any other.
    Signed(Box<SignedRecord>),
}

impl Record {
    /// The erasure that it states, if any.
    #[must_use]
    pub fn erasure(&self) -> Option<&ErasureRecord> {
        match self {
            Self::Unsigned(record) => Some(record),
            Self::Signed(record) => record.statement().erasure(),
        }
    }

    /// The signed record, if it is one.
    #[must_use]
    pub fn signed(&self) -> Option<&SignedRecord> {
        match self {
            Self::Unsigned(_) => None,
            Self::Signed(record) => Some(record),
        }
    }

    /// The hash of its leaf.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        match self {
            Self::Unsigned(record) => record.leaf_hash(),
            Self::Signed(record) => record.leaf_hash(),
        }
    }

    /// The record as one line without a line break: the JSON of an unsigned erasure record, or the note of
    /// a signed one as a JSON string.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
    pub fn to_line(&self) -> String {
        match self {
            Self::Unsigned(record) => record.to_line(),
            Self::Signed(record) => {
                serde_json::to_string(record.note()).expect("a string serialises")
            }
        }
    }

    /// Parses a line of [`to_line`](Self::to_line), with or without a line break.
    ///
    /// # Errors
    ///
    /// [`InvalidRecord`]; [`InvalidRecord::NotCanonical`] if the line differs from
    /// [`to_line`](Self::to_line).
    pub fn from_line(line: &str) -> Result<Self, InvalidRecord> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        if !line.starts_with('"') {
            return Ok(Self::Unsigned(ErasureRecord::from_line(line)?));
        }
        let note: String = serde_json::from_str(line).map_err(InvalidRecord::Statement)?;
        let record = Self::Signed(Box::new(SignedRecord::from_note(&note)?));
        if record.to_line() == line { Ok(record) } else { Err(InvalidRecord::NotCanonical) }
    }
}

impl From<ErasureRecord> for Record {
    fn from(record: ErasureRecord) -> Self {
        Self::Unsigned(record)
    }
}

impl From<SignedRecord> for Record {
    fn from(record: SignedRecord) -> Self {
        Self::Signed(Box::new(record))
    }
}

/// The note.
impl fmt::Display for SignedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.note)
    }
}
