//! Verifying the signatures of a checkpoint.

use attestry_core::Timestamp;
use signed_note::{Note, NoteError, VerificationError, Verifier, Verifiers};
use thiserror::Error;

use crate::quorum::Quorum;
use crate::{Checkpoint, KeyRange, LogKey, LogKeys, OpenError, SignedCheckpoint, WitnessKey};

/// The signatures that a checkpoint must have: the log's and, optionally, those of a minimum number of
/// witnesses.
///
/// ```
/// use attestry_evidence::{OpenError, Policy, SigningKey, WitnessKey};
///
/// let key = SigningKey::generate("example.com/audit")?;
/// let signed = key.sign(0, attestry_evidence::Hash::EMPTY_TREE);
///
/// let policy = Policy::new(key.public());
/// assert_eq!(policy.open(&signed)?.checkpoint().size(), 0);
///
/// // The same, with a cosignature of one of one witness.
/// let witness = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
/// let policy = policy.with_witnesses([witness.parse()?], 1)?;
/// assert_eq!(policy.open(&signed), Err(OpenError::TooFewWitnesses { needed: 1, found: 0 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    keys: LogKeys,
    /// The key that errors name.
    log: LogKey,
    witnesses: Vec<WitnessKey>,
    quorum: Quorum,
}

/// Why a policy is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// More cosignatures are needed than there are witnesses.
    #[error("{needed} witnesses are needed, but only {known} are known")]
    TooFewKnown {
        /// The cosignatures needed.
        needed: usize,
        /// The witnesses known.
        known: usize,
    },
    /// A key occurs twice, possibly under two names. It would count twice.
    #[error("the key of {name} occurs twice")]
    Twice {
        /// The name of the second occurrence.
        name: String,
    },
}

/// A checkpoint whose signatures satisfy a [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedCheckpoint {
    checkpoint: Checkpoint,
    cosignatures: Vec<Cosignature>,
}

/// The statement of a witness that it saw a checkpoint, consistent with all earlier ones, at a time of
/// its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cosignature {
    /// The name of the witness.
    pub witness: String,
    /// The time of the cosignature, in seconds since 1970.
    pub unix_seconds: u64,
}

impl Cosignature {
    /// The time of the cosignature, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn time(&self) -> Timestamp {
        i64::try_from(self.unix_seconds)
            .ok()
            .and_then(|seconds| Timestamp::from_unix_micros(seconds.checked_mul(1_000_000)?).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

impl OpenedCheckpoint {
    /// The signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The cosignatures of known witnesses, in the order of their lines.
    #[must_use]
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }
}

impl Policy {
    /// Requires a signature of this key. The origin of the log is the key's name.
    #[must_use]
    pub fn new(log: LogKey) -> Self {
        let (witnesses, quorum) = (Vec::new(), Quorum::default());
        Self { keys: LogKeys::new(log.clone()), log, witnesses, quorum }
    }

    /// Requires a signature of one of these keys, of the one that signs checkpoints of that size. `None`
    /// without any.
    #[must_use]
    pub fn with_keys(keys: LogKeys) -> Option<Self> {
        let log = keys.signing().first()?.key.clone();
        Some(Self { keys, log, witnesses: Vec::new(), quorum: Quorum::default() })
    }

    /// The keys, to [`follow`](LogKeys::follow) the records of a log.
    pub fn keys_mut(&mut self) -> &mut LogKeys {
        &mut self.keys
    }

    /// Sets the origin of the log, where it differs from the name of the key.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.keys.set_origin(origin.into());
        self
    }

    /// Requires cosignatures of at least `needed` of these witnesses.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] when there are fewer than `needed` witnesses, or a key occurs twice or is the
    /// log's.
    pub fn with_witnesses(
        self,
        witnesses: impl IntoIterator<Item = WitnessKey>,
        needed: usize,
    ) -> Result<Self, InvalidPolicy> {
        let witnesses: Vec<WitnessKey> = witnesses.into_iter().collect();
        let known = witnesses.len();
        let policy = self.with_quorum(witnesses, Quorum::at_least(needed, known))?;
        if needed > known { Err(InvalidPolicy::TooFewKnown { needed, known }) } else { Ok(policy) }
    }

    /// Requires a quorum of these witnesses. Fails if a key occurs twice or is the log's.
    pub(crate) fn with_quorum(
        mut self,
        witnesses: Vec<WitnessKey>,
        quorum: Quorum,
    ) -> Result<Self, InvalidPolicy> {
        (self.witnesses, self.quorum) = (witnesses, quorum);
        let mut seen: Vec<_> = self.keys.signing().iter().map(|range| range.key.bytes()).collect();
        for witness in &self.witnesses {
            if seen.contains(&witness.bytes()) {
                return Err(InvalidPolicy::Twice { name: witness.name().to_owned() });
            }
            seen.push(witness.bytes());
        }
        Ok(self)
    }

    /// The key of the log; the first of several.
    #[must_use]
    pub fn log_key(&self) -> &LogKey {
        &self.log
    }

    /// The keys of the log.
    #[must_use]
    pub fn keys(&self) -> &LogKeys {
        &self.keys
    }

    /// The origin of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.keys.origin()
    }

    /// Verifies the signatures of a signed checkpoint and returns the checkpoint. Signatures of unknown
    /// keys are ignored, as the format requires.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: nothing in the text can be relied on.
    pub fn open(&self, signed: impl AsRef<str>) -> Result<OpenedCheckpoint, OpenError> {
        let note = Note::from_bytes(signed.as_ref().as_bytes()).map_err(|_| OpenError::NotANote)?;
        let (good, _) = note.verify(&Known(self)).map_err(|error| self.rejected(error))?;
        self.check_each_signature(signed.as_ref())?;
        let is_by = |signature: &signed_note::Signature, key: &dyn Verifier| {
            signature.name() == key.name() && signature.id() == key.key_id()
        };
        let by_log =
            |range: &&KeyRange| good.iter().any(|signature| is_by(signature, &range.key.0));
        let mut signed_by = self.keys.signing().iter().filter(by_log).peekable();
        let Some(first) = signed_by.peek().map(|range| &range.key) else {
            return Err(self.not_signed());
        };
        let text = std::str::from_utf8(note.text()).map_err(|_| OpenError::NotANote)?;
        let checkpoint: Checkpoint = text.parse()?;
        if checkpoint.origin() != self.origin() {
            let (expected, found) = (self.origin().to_owned(), checkpoint.origin().to_owned());
            return Err(OpenError::OtherLog { expected, found });
        }
        let size = checkpoint.size();
        if !signed_by.any(|range| range.covers_size(size)) {
            let (name, id) = (first.name().to_owned(), first.id());
            return Err(OpenError::NotInForce { name, id, size });
        }
        let cosignatures: Vec<Cosignature> = good
            .iter()
            .filter(|signature| self.witnesses.iter().any(|key| is_by(signature, &key.0)))
            .filter_map(|signature| {
                let time = u64::from_be_bytes(*signature.signature().first_chunk()?);
                Some(Cosignature { witness: signature.name().to_owned(), unix_seconds: time })
            })
            .collect();
        let has_cosigned =
            |index: usize| good.iter().any(|signature| is_by(signature, &self.witnesses[index].0));
        if !self.quorum.is_satisfied(has_cosigned) {
            let (needed, found) = (self.quorum.least(), cosignatures.len());
            return Err(match found < needed {
                true => OpenError::TooFewWitnesses { needed, found },
                false => OpenError::NoQuorum { found },
            });
        }
        Ok(OpenedCheckpoint { checkpoint, cosignatures })
    }

    /// Adds the responses of witnesses to a signed checkpoint: signature lines with valid cosignatures of
    /// known witnesses, without duplicates.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotANote`] when `signed` is not a note or `response` not signature lines,
    /// [`OpenError::BadSignature`] when the line of a known witness is invalid,
    /// [`OpenError::NotACheckpoint`] when the text of the note is not a checkpoint.
    pub fn add_cosignatures(
        &self,
        signed: impl AsRef<str>,
        response: &str,
    ) -> Result<SignedCheckpoint, OpenError> {
        let signed = signed.as_ref();
        // Other lines could make the checkpoint a part of a longer signed text.
        if response.lines().any(|line| !line.starts_with("— ")) {
            return Err(OpenError::NotANote);
        }
        let both = Note::from_bytes(format!("{signed}{response}").as_bytes());
        let both = both.map_err(|_| OpenError::NotANote)?;
        let (good, _) = both.verify(&Known(self)).map_err(|error| self.rejected(error))?;
        self.check_each_signature(&format!("{signed}{response}"))?;
        let mut all = signed.to_owned();
        for signature in good {
            let line = String::from_utf8(signature.to_bytes()).map_err(|_| OpenError::NotANote)?;
            if !signed.contains(&line) {
                all.push_str(&line);
            }
        }
        all.parse()
    }

    /// Fails if any signature of a known key is invalid. [`Note::verify`] looks at the first one of each
    /// key only.
    fn check_each_signature(&self, signed: &str) -> Result<(), OpenError> {
        let (text, signatures) = signed.rsplit_once("\n\n").ok_or(OpenError::NotANote)?;
        for line in signatures.lines() {
            let single = Note::from_bytes(format!("{text}\n\n{line}\n").as_bytes());
            match single.map_err(|_| OpenError::NotANote)?.verify(&Known(self)) {
                Ok(_) | Err(NoteError::UnverifiedNote) => {}
                Err(error) => return Err(self.rejected(error)),
            }
        }
        Ok(())
    }

    fn rejected(&self, error: NoteError) -> OpenError {
        match error {
            NoteError::InvalidSignature { name, id } => OpenError::BadSignature { name, id },
            NoteError::UnverifiedNote => self.not_signed(),
            _ => OpenError::NotANote,
        }
    }

    fn not_signed(&self) -> OpenError {
        OpenError::NotSigned { name: self.log.name().to_owned(), id: self.log.id() }
    }
}

/// Looks up the keys of a policy by the name and id of a signature.
struct Known<'a>(&'a Policy);

impl Verifiers for Known<'_> {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        let Policy { keys, witnesses, .. } = self.0;
        let signing = keys.signing().iter().map(|range| &range.key.0);
        signing
            .chain(witnesses.iter().map(|witness| &witness.0))
            .find(|key| key.name() == name && key.key_id() == id)
            .map(|key| key as &dyn Verifier)
            .ok_or_else(|| VerificationError::UnknownKey { name: name.to_owned(), id })
    }
}
