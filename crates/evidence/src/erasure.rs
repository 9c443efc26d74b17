//! Erasure records: leaves of the tree that record the erasure of other leaves.

use attestry_core::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Hash, Tree, leaf_hash};

/// Records which leaves were erased, when, why and by whom.
///
/// Erasing an entry removes its line, leaves its leaf hash in the tree, and appends this record as a
/// leaf. Like an entry, the record can be neither dropped nor back-dated. This distinguishes a
/// recorded erasure from a missing line.
///
/// The record contains the positions and the hash of what was erased, but no id and no content. Do not
/// put any into `reason`.
///
/// As text it is one line of JSON in canonical form; see [`to_line`](Self::to_line).
///
/// # Domain separation
///
/// An entry is never mistaken for a record. The data of a record's leaf is the line
/// `attestry-erasure/v1`, a line break, and the JSON. The data of an entry's leaf is one line without a
/// line break ([`line_hash`](crate::line_hash) rejects others). So no JSON written into a log is both, and
/// different data with the same leaf hash would be a collision of SHA-256.
///
/// ```
/// use attestry_evidence::{ErasureRecord, leaf_hash, line_hash};
///
/// let line = br#"{"id": "a"}"#;
/// let record = ErasureRecord::new(
///     17,
///     1,
///     line_hash(line)?,
///     "2026-01-28T09:15:00".parse()?,
///     "Art. 17 GDPR, request 4711",
///     "dpo@example.com",
/// )?;
/// let text = record.to_line();
/// assert!(text.starts_with(r#"{"leaf":17,"count":1,"hash":""#));
/// assert_eq!(ErasureRecord::from_line(&text)?, record);
///
/// // How other programs compute the leaf hash of a record.
/// let data = format!("attestry-erasure/v1\n{text}");
/// assert_eq!(record.leaf_hash(), leaf_hash(data.as_bytes()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct ErasureRecord(Fields);

/// The serialised form, not yet validated.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    leaf: u64,
    count: u64,
    hash: Hash,
    erased_at: Timestamp,
    reason: String,
    by: String,
}

/// Why an erasure record is invalid.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidErasure {
    /// The range of leaves is empty or exceeds the maximum size of a tree.
    #[error("invalid erasure record: {count} leaves from leaf {leaf}")]
    Range {
        /// The first leaf.
        leaf: u64,
        /// The number of leaves.
        count: u64,
    },
    /// A text is longer than [`ErasureRecord::MAX_TEXT`].
    #[error(
        "the field {field} of an erasure record has {length} bytes, more than {}",
        ErasureRecord::MAX_TEXT
    )]
    TooLong {
        /// The field.
        field: &'static str,
        /// The length of its text, in bytes.
        length: usize,
    },
    /// The line is not the JSON of an erasure record.
    #[error("the line is not an erasure record")]
    Json(#[source] serde_json::Error),
    /// The line is the JSON of a record, but not in canonical form.
    #[error("the erasure record is not in canonical form")]
    NotCanonical,
}

impl TryFrom<Fields> for ErasureRecord {
    type Error = InvalidErasure;

    fn try_from(fields: Fields) -> Result<Self, InvalidErasure> {
        Self::validated(fields)
    }
}

impl ErasureRecord {
    /// The first line of a record's leaf data, with its line break.
    pub const PREFIX: &str = "attestry-erasure/v1\n";

    /// The maximum length of `reason` and of `by`, in bytes.
    pub const MAX_TEXT: usize = 1024;

    /// A record of the erasure of `count` leaves from `leaf`. `hash` is the [`range_hash`](Self::range_hash)
    /// of their leaf hashes.
    ///
    /// # Errors
    ///
    /// [`InvalidErasure::Range`] or [`InvalidErasure::TooLong`].
    pub fn new(
        leaf: u64,
        count: u64,
        hash: Hash,
        erased_at: Timestamp,
        reason: impl Into<String>,
        by: impl Into<String>,
    ) -> Result<Self, InvalidErasure> {
        let (reason, by) = (reason.into(), by.into());
        Self::validated(Fields { leaf, count, hash, erased_at, reason, by })
    }

    fn validated(fields: Fields) -> Result<Self, InvalidErasure> {
        let Fields { leaf, count, .. } = fields;
        if count == 0 || leaf.checked_add(count).is_none_or(|end| end > Tree::MAX_SIZE) {
            return Err(InvalidErasure::Range { leaf, count });
        }
        for (field, text) in [("reason", &fields.reason), ("by", &fields.by)] {
            if text.len() > Self::MAX_TEXT {
                return Err(InvalidErasure::TooLong { field, length: text.len() });
            }
        }
        Ok(Self(fields))
    }

    /// The root of a tree of only these leaf hashes; for one leaf, its leaf hash.
    ///
    /// ```
    /// use attestry_evidence::{ErasureRecord, leaf_hash};
    /// assert_eq!(ErasureRecord::range_hash([leaf_hash(b"a")]), leaf_hash(b"a"));
    /// ```
    #[must_use]
    pub fn range_hash(leaves: impl IntoIterator<Item = Hash>) -> Hash {
        let mut tree = Tree::new();
        tree.extend(leaves);
        tree.root()
    }

    /// The first erased leaf, counted from 0.
    #[must_use]
    pub fn leaf(&self) -> u64 {
        self.0.leaf
    }

    /// The number of consecutive leaves erased.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count
    }

    /// The leaf after the last erased one.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.0.leaf + self.0.count
    }

    /// The [`range_hash`](Self::range_hash) of the erased leaves.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.0.hash
    }

    /// The time of the erasure, by the clock of the machine that erased.
    #[must_use]
    pub fn erased_at(&self) -> Timestamp {
        self.0.erased_at
    }

    /// The reason for the erasure.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The person or program that erased.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.0.by
    }

    /// The record as one line of JSON, without a line break: the fields `leaf`, `count`, `hash`
    /// (base64), `erased_at` (UTC, as in entries), `reason` and `by` in this order, without spaces. This
    /// form is canonical.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
    pub fn to_line(&self) -> String {
        serde_json::to_string(&self.0).expect("numbers and strings serialise")
    }

    /// Parses a line, with or without its line break.
    ///
    /// # Errors
    ///
    /// [`InvalidErasure`]; [`InvalidErasure::NotCanonical`] if the line differs from
    /// [`to_line`](Self::to_line).
    pub fn from_line(line: &str) -> Result<Self, InvalidErasure> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let fields: Fields = serde_json::from_str(line).map_err(InvalidErasure::Json)?;
        let record = Self::validated(fields)?;
        if record.to_line() == line { Ok(record) } else { Err(InvalidErasure::NotCanonical) }
    }

    /// The hash of the record's own leaf, if it is not signed.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash((Self::PREFIX.to_owned() + &self.to_line()).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ErasureRecord {
        let at = "2026-01-28T09:15:00.000123".parse().unwrap();
        ErasureRecord::new(3, 2, Hash::EMPTY_TREE, at, "why\n\"so\" ✓", "who").unwrap()
    }

    #[test]
    fn text_form_is_stable() {
        assert_eq!(
            record().to_line(),
            r#"{"leaf":3,"count":2,"hash":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","#
                .to_owned()
                + r#""erased_at":"2026-01-28T09:15:00.000123","reason":"why\n\"so\" ✓","by":"who"}"#
        );
    }

    #[test]
    fn non_canonical_lines_are_rejected() {
        let line = record().to_line();
        assert_eq!(ErasureRecord::from_line(&line).unwrap(), record());
        assert_eq!(ErasureRecord::from_line(&format!("{line}\n")).unwrap(), record());
        for other in [
            line.replace("\"count\":2", "\"count\": 2"),
            line.replace("✓", "\\u2713"),
            line.replace(".000123", ".000123Z"),
            line.replace("{\"leaf\":3,", "{").replace('}', ",\"leaf\":3}"),
            format!("{line} "),
            format!("{line}\n\n"),
            r#"[3,2,"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","2026-01-28T09:15:00","",""]"#
                .to_owned(),
        ] {
            let error = ErasureRecord::from_line(&other).unwrap_err();
            assert!(matches!(error, InvalidErasure::NotCanonical), "{other}: {error:?}");
        }
        for other in [
            String::new(),
            line.replace('}', ",\"more\":1}"),
            line.replace("\"leaf\":3,", ""),
            line.replace("\"leaf\":3", "\"leaf\":-3"),
            line.replace("FU=", "FV="),
        ] {
            let error = ErasureRecord::from_line(&other).unwrap_err();
            assert!(matches!(error, InvalidErasure::Json(_)), "{other}: {error:?}");
        }
    }

    #[test]
    fn ranges_and_texts_are_bounded() {
        let new = |leaf, count, reason: &str| {
            ErasureRecord::new(leaf, count, Hash::EMPTY_TREE, Timestamp::UNIX_EPOCH, reason, "")
        };
        assert!(new(0, 1, &"x".repeat(1024)).is_ok());
        assert!(matches!(new(0, 0, ""), Err(InvalidErasure::Range { .. })));
        assert!(matches!(new(u64::MAX, 1, ""), Err(InvalidErasure::Range { .. })));
        assert!(matches!(new(Tree::MAX_SIZE, 1, ""), Err(InvalidErasure::Range { .. })));
        assert!(matches!(
            new(0, 1, &"x".repeat(1025)),
            Err(InvalidErasure::TooLong { field: "reason", length: 1025 })
        ));
        let line = record().to_line().replace("\"count\":2", "\"count\":0");
        assert!(matches!(ErasureRecord::from_line(&line), Err(InvalidErasure::Range { .. })));
    }
}
