//! Which keys sign a log, and for which part of it.

use thiserror::Error;

use crate::record::SignedRecord;
use crate::statement::Statement;
use crate::{LogKey, Tree};

/// A key, and the part of a log that it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRange {
    /// The key.
    pub key: LogKey,
    /// It signs records from this leaf on, and checkpoints of more than this number of leaves.
    pub from: u64,
    /// It signs records before this leaf, and checkpoints of at most this number of leaves.
    pub until: u64,
}

impl KeyRange {
    /// `key` signs the leaves from `from` to before `until`, and the checkpoints of that part.
    #[must_use]
    pub fn new(key: LogKey, from: u64, until: u64) -> Self {
        Self { key, from, until }
    }

    fn covers_leaf(&self, leaf: u64) -> bool {
        self.from <= leaf && leaf < self.until
    }

    /// Whether it signs checkpoints of `size` leaves.
    #[must_use]
    pub fn covers_size(&self, size: u64) -> bool {
        (self.from < size || self.from == 0) && size <= self.until
    }
}

/// The keys of a log: those that sign checkpoints and all records, and those that sign erasures only.
///
/// A verifier begins with keys that it trusts. [`follow`](Self::follow) adds those that records of the log
/// introduce, and limits the part that each signs.
///
/// ```
/// use attestry_evidence::{LogKeys, SignedRecord, SigningKey, Statement};
///
/// let old = SigningKey::generate("example.com/audit")?;
/// let new = SigningKey::generate("example.com/audit")?;
/// let change = Statement::NewKey { old: old.public(), new: new.public(), at: "2026-02-01".parse()? };
/// let record = SignedRecord::sign("example.com/audit", &change, &[&old, &new])?;
///
/// // Either key leads to the other.
/// for known in [old.public(), new.public()] {
///     let mut keys = LogKeys::new(known);
///     keys.follow([(1_000, &record)]);
///     assert!(keys.signs(&old.public(), 1_000) && !keys.signs(&old.public(), 1_001));
///     assert!(keys.signs(&new.public(), 1_001) && !keys.signs(&new.public(), 1_000));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKeys {
    origin: String,
    signing: Vec<KeyRange>,
    erasing: Vec<KeyRange>,
}

/// Why a record is not authentic.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is a record of another log.
    #[error("the record is of the log {found}, not of {expected}")]
    OtherLog {
        /// The origin of the log.
        expected: String,
        /// The origin of the record.
        found: String,
    },
    /// No key of the log has signed it.
    #[error("the record is signed with {}, none of which may sign it", signers.join(", "))]
    UnknownKey {
        /// The signers that it claims, as `name+1a2b3c4d`.
        signers: Vec<String>,
    },
    /// The signature of a known key is invalid: the record or the signature was altered or forged.
    #[error("the signature of {name}+{id:08x} is invalid")]
    BadSignature {
        /// The name of the key.
        name: String,
        /// The id of the key.
        id: u32,
    },
    /// The key was not in force at that leaf: it had been replaced or ended, or did not sign yet.
    #[error("the key {name}+{id:08x} does not sign leaf {leaf}")]
    NotInForce {
        /// The name of the key.
        name: String,
        /// The id of the key.
        id: u32,
        /// The leaf.
        leaf: u64,
    },
}

impl LogKeys {
    /// The log that `key` signs, from its first leaf on. The origin is the key's name.
    #[must_use]
    pub fn new(key: LogKey) -> Self {
        Self::with_ranges(key.name().to_owned(), [KeyRange::new(key, 0, Tree::MAX_SIZE)])
    }

    /// The log `origin`, signed by these keys.
    #[must_use]
    pub fn with_ranges(
        origin: impl Into<String>,
        signing: impl IntoIterator<Item = KeyRange>,
    ) -> Self {
        let signing = signing.into_iter().collect();
        Self { origin: origin.into(), signing, erasing: Vec::new() }
    }

    pub(crate) fn set_origin(&mut self, origin: String) {
        self.origin = origin;
    }

    /// The origin of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The keys that sign checkpoints and records.
    #[must_use]
    pub fn signing(&self) -> &[KeyRange] {
        &self.signing
    }

    /// The keys that sign erasures.
    #[must_use]
    pub fn erasing(&self) -> &[KeyRange] {
        &self.erasing
    }

    /// Whether `key` signs checkpoints of `size` leaves.
    #[must_use]
    pub fn signs(&self, key: &LogKey, size: u64) -> bool {
        self.signing.iter().any(|range| range.key == *key && range.covers_size(size))
    }

    /// Whether `key` signs erasures at the leaf `leaf`.
    #[must_use]
    pub fn erases(&self, key: &LogKey, leaf: u64) -> bool {
        self.may_erase().any(|range| range.key == *key && range.covers_leaf(leaf))
    }

    fn may_erase(&self) -> impl Iterator<Item = &KeyRange> {
        self.signing.iter().chain(&self.erasing)
    }

    /// Applies the records of the log, with the leaves that they are, in their order. Records that are not
    /// authentic change nothing.
    ///
    /// A new key is trusted if the old one is and has signed that; the old one, up to there, if the new one
    /// is.
    pub fn follow<'a>(&mut self, records: impl IntoIterator<Item = (u64, &'a SignedRecord)>) {
        let of_log = |(_, record): &(u64, &SignedRecord)| record.origin() == self.origin;
        let records: Vec<(u64, &SignedRecord)> = records.into_iter().filter(of_log).collect();
        for &(leaf, record) in &records {
            self.follow_to_new_key(leaf, record);
        }
        for &(leaf, record) in records.iter().rev() {
            self.follow_to_old_key(leaf, record);
        }
        records.iter().for_each(|&(leaf, record)| self.end_key(leaf, record));
        for &(leaf, record) in &records {
            if let Statement::ErasureKey { key, .. } = record.statement()
                && self.signer(&self.signing, leaf, record).is_some()
            {
                self.erasing.push(KeyRange::new(key.clone(), leaf, Tree::MAX_SIZE));
            }
        }
        // Of keys that sign erasures.
        records.iter().for_each(|&(leaf, record)| self.end_key(leaf, record));
    }

    fn follow_to_new_key(&mut self, leaf: u64, record: &SignedRecord) {
        let Statement::NewKey { old, new, .. } = record.statement() else { return };
        let in_force = |range: &&mut KeyRange| range.key == *old && range.covers_leaf(leaf);
        let is_new = |range: &KeyRange| range.key == *new;
        let known = self.signing.iter().any(is_new);
        let Some(replaced) = self.signing.iter_mut().find(in_force) else { return };
        if old == new || !record.is_signed_by(old) || !record.is_signed_by(new) {
            return;
        }
        let until = std::mem::replace(&mut replaced.until, leaf);
        if known {
            let of_new = self.signing.iter_mut().filter(|range| is_new(range));
            of_new.for_each(|range| range.from = range.from.max(leaf));
        } else {
            self.signing.push(KeyRange::new(new.clone(), leaf, until));
        }
    }

    fn follow_to_old_key(&mut self, leaf: u64, record: &SignedRecord) {
        let Statement::NewKey { old, new, .. } = record.statement() else { return };
        if old == new || self.signing.iter().any(|range| range.key == *old) {
            return;
        }
        let in_force = |range: &&mut KeyRange| range.key == *new && range.covers_leaf(leaf);
        let Some(range) = self.signing.iter_mut().find(in_force) else { return };
        if record.is_signed_by(old) && record.is_signed_by(new) {
            let from = std::mem::replace(&mut range.from, leaf);
            self.signing.push(KeyRange::new(old.clone(), from, leaf));
        }
    }

    fn end_key(&mut self, leaf: u64, record: &SignedRecord) {
        let Statement::KeyEnded { key, size, .. } = record.statement() else { return };
        if self.signer(&self.signing, leaf, record).is_none_or(|signer| signer == key) {
            return;
        }
        let of_key = self.signing.iter_mut().chain(&mut self.erasing);
        of_key
            .filter(|range| range.key == *key)
            .for_each(|range| range.until = range.until.min(*size));
    }

    /// The key among `ranges` that signs leaf `leaf` and has signed `record`.
    fn signer<'a>(
        &self,
        ranges: &'a [KeyRange],
        leaf: u64,
        record: &SignedRecord,
    ) -> Option<&'a LogKey> {
        let in_force = ranges.iter().filter(|range| range.covers_leaf(leaf));
        in_force.map(|range| &range.key).find(|key| record.is_signed_by(key))
    }

    /// Checks that the record at leaf `leaf` is signed by a key that may sign it; returns the key.
    ///
    /// # Errors
    ///
    /// [`RecordError`].
    pub fn check(&self, leaf: u64, record: &SignedRecord) -> Result<&LogKey, RecordError> {
        if record.origin() != self.origin {
            let (expected, found) = (self.origin.clone(), record.origin().to_owned());
            return Err(RecordError::OtherLog { expected, found });
        }
        let erases =
            matches!(record.statement(), Statement::Erasure(_) | Statement::EraseIntent { .. });
        let erasing = self.erasing.iter().filter(|_| erases);
        let mut other = None;
        for range in self.signing.iter().chain(erasing) {
            let (name, id) = (range.key.name().to_owned(), range.key.id());
            match record.signature_of(&range.key) {
                Some(true) if range.covers_leaf(leaf) && announces(record, &range.key) => {
                    return Ok(&range.key);
                }
                Some(true) => other = Some(RecordError::NotInForce { name, id, leaf }),
                Some(false) => return Err(RecordError::BadSignature { name, id }),
                None => {}
            }
        }
        Err(other.unwrap_or_else(|| RecordError::UnknownKey { signers: record.signers() }))
    }
}

/// Whether `signer` may announce what the record states: a new key needs the signatures of both.
fn announces(record: &SignedRecord, signer: &LogKey) -> bool {
    match record.statement() {
        Statement::NewKey { old, new, .. } => signer == new && record.is_signed_by(old),
        _ => true,
    }
}
