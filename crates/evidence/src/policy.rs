//! Whose signatures count: opening a signed checkpoint.

use attestry_core::Timestamp;
use signed_note::{Note, NoteError, VerificationError, Verifier, Verifiers};
use thiserror::Error;

use crate::{Checkpoint, InvalidCheckpoint, LogKey, WitnessKey};

/// Whom someone who verifies believes: the log's key, and perhaps some witnesses, of whom a
/// number must have cosigned.
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
/// // The same, if one witness of one must have seen it.
/// let witness = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
/// let policy = policy.with_witnesses([witness.parse()?], 1)?;
/// assert_eq!(policy.open(&signed), Err(OpenError::TooFewWitnesses { needed: 1, found: 0 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    log: LogKey,
    origin: String,
    witnesses: Vec<WitnessKey>,
    needed: usize,
}

/// Why a policy makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// More witnesses are asked for than are known.
    #[error("{needed} witnesses are needed, but only {known} are known")]
    TooFewKnown {
        /// How many are asked for.
        needed: usize,
        /// How many are known.
        known: usize,
    },
    /// A key is there twice, perhaps under two names: it would count for two.
    #[error("the key of {name} is there twice")]
    Twice {
        /// The name of the second.
        name: String,
    },
}

/// Why a signed checkpoint is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The text is not a signed note: a text, an empty line, and lines of signatures.
    #[error("this is not a signed checkpoint: not a text, an empty line and signatures")]
    NotANote,
    /// The log's key has not signed it.
    #[error("the checkpoint is not signed with the key {name}+{id:08x} of the log")]
    NotSigned {
        /// The name of the log's key.
        name: String,
        /// The short hash of the log's key.
        id: u32,
    },
    /// There is a signature that claims to be of a known key and is not: the text or the
    /// signature was changed, or somebody else made it.
    #[error("the signature of {name}+{id:08x} is false")]
    BadSignature {
        /// The name of the key.
        name: String,
        /// The short hash of the key.
        id: u32,
    },
    /// What is signed is not a checkpoint.
    #[error("what is signed is not a checkpoint")]
    NotACheckpoint(#[from] InvalidCheckpoint),
    /// It is the checkpoint of another log.
    #[error("the checkpoint is of the log {found}, not of {expected}")]
    OtherLog {
        /// The origin asked for.
        expected: String,
        /// The origin found.
        found: String,
    },
    /// Fewer witnesses than asked for have cosigned it.
    #[error("{found} of the witnesses have cosigned the checkpoint, {needed} are needed")]
    TooFewWitnesses {
        /// How many are needed.
        needed: usize,
        /// How many have.
        found: usize,
    },
}

/// A checkpoint that was signed as a [`Policy`] asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedCheckpoint {
    checkpoint: Checkpoint,
    cosignatures: Vec<Cosignature>,
}

/// That a witness had seen a checkpoint, and everything before it unchanged, at a time by its
/// own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cosignature {
    /// The name of the witness.
    pub witness: String,
    /// When it cosigned, in seconds since 1970.
    pub unix_seconds: u64,
}

impl Cosignature {
    /// When it cosigned; [`Timestamp::MAX`] for times beyond.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        i64::try_from(self.unix_seconds)
            .ok()
            .and_then(|seconds| Timestamp::from_unix_micros(seconds.checked_mul(1_000_000)?).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

impl OpenedCheckpoint {
    /// What was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The known witnesses that cosigned it, in the order of their lines.
    #[must_use]
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }
}

impl Policy {
    /// Believes what is signed with this key, and takes its name for the origin of the log.
    #[must_use]
    pub fn new(log: LogKey) -> Self {
        let origin = log.name().to_owned();
        Self { log, origin, witnesses: Vec::new(), needed: 0 }
    }

    /// The same for a log whose origin is another than the name of its key.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = origin.into();
        self
    }

    /// The same, but only with cosignatures of at least `needed` of these witnesses.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] when there are fewer than `needed`, or one of them is there twice or is
    /// the log itself.
    pub fn with_witnesses(
        mut self,
        witnesses: impl IntoIterator<Item = WitnessKey>,
        needed: usize,
    ) -> Result<Self, InvalidPolicy> {
        self.witnesses = witnesses.into_iter().collect();
        self.needed = needed;
        let mut seen = vec![self.log.bytes()];
        for witness in &self.witnesses {
            if seen.contains(&witness.bytes()) {
                return Err(InvalidPolicy::Twice { name: witness.name().to_owned() });
            }
            seen.push(witness.bytes());
        }
        let known = self.witnesses.len();
        if needed > known { Err(InvalidPolicy::TooFewKnown { needed, known }) } else { Ok(self) }
    }

    /// The key of the log.
    #[must_use]
    pub fn log_key(&self) -> &LogKey {
        &self.log
    }

    /// The origin of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Checks the signatures of a signed checkpoint and says what was signed. Signatures of keys
    /// that are not known are passed over, as the format asks.
    ///
    /// # Errors
    ///
    /// [`OpenError`]. Nothing in the text counts then.
    pub fn open(&self, signed: &str) -> Result<OpenedCheckpoint, OpenError> {
        let note = Note::from_bytes(signed.as_bytes()).map_err(|_| OpenError::NotANote)?;
        let (good, _) = note.verify(&Known(self)).map_err(|error| self.refuse(error))?;
        let is_by = |signature: &signed_note::Signature, key: &dyn Verifier| {
            signature.name() == key.name() && signature.id() == key.key_id()
        };
        if !good.iter().any(|signature| is_by(signature, &self.log.0)) {
            return Err(self.not_signed());
        }
        let text = std::str::from_utf8(note.text()).map_err(|_| OpenError::NotANote)?;
        let checkpoint: Checkpoint = text.parse()?;
        if checkpoint.origin() != self.origin {
            let found = checkpoint.origin().to_owned();
            return Err(OpenError::OtherLog { expected: self.origin.clone(), found });
        }
        let cosignatures: Vec<Cosignature> = good
            .iter()
            .filter(|signature| self.witnesses.iter().any(|key| is_by(signature, &key.0)))
            .filter_map(|signature| {
                let time = u64::from_be_bytes(*signature.signature().first_chunk()?);
                Some(Cosignature { witness: signature.name().to_owned(), unix_seconds: time })
            })
            .collect();
        if cosignatures.len() < self.needed {
            let found = cosignatures.len();
            return Err(OpenError::TooFewWitnesses { needed: self.needed, found });
        }
        Ok(OpenedCheckpoint { checkpoint, cosignatures })
    }

    /// Adds to a signed checkpoint what witnesses answered to it: those of their lines that are
    /// true cosignatures of known witnesses and are not there yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotANote`] when either text is not of lines of signatures,
    /// [`OpenError::BadSignature`] when a known witness's line is false.
    pub fn add_cosignatures(&self, signed: &str, answer: &str) -> Result<String, OpenError> {
        // Anything but signatures could turn the checkpoint into the beginning of another text.
        if answer.lines().any(|line| !line.starts_with("— ")) {
            return Err(OpenError::NotANote);
        }
        let both = Note::from_bytes(format!("{signed}{answer}").as_bytes());
        let both = both.map_err(|_| OpenError::NotANote)?;
        let (good, _) = both.verify(&Known(self)).map_err(|error| self.refuse(error))?;
        let mut all = signed.to_owned();
        for signature in good {
            let line = String::from_utf8(signature.to_bytes()).map_err(|_| OpenError::NotANote)?;
            if !signed.contains(&line) {
                all.push_str(&line);
            }
        }
        Ok(all)
    }

    fn refuse(&self, error: NoteError) -> OpenError {
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

/// The keys of a policy, for looking up whose a signature is.
struct Known<'a>(&'a Policy);

impl Verifiers for Known<'_> {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        let Policy { log, witnesses, .. } = self.0;
        std::iter::once(&log.0)
            .chain(witnesses.iter().map(|witness| &witness.0))
            .find(|key| key.name() == name && key.key_id() == id)
            .map(|key| key as &dyn Verifier)
            .ok_or_else(|| VerificationError::UnknownKey { name: name.to_owned(), id })
    }
}
