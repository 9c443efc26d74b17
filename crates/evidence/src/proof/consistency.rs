//! A consistency proof with its checkpoint, as in requests to witnesses.

use std::fmt;
use std::str::FromStr;

use super::{InvalidProof, VerifyError, parse_path, verify_consistency};
use crate::number::parse_number;
use crate::{Checkpoint, Hash, OpenedCheckpoint, Policy};

/// Proves that a log only grew since an older checkpoint: the older size, the hashes, and the newer
/// signed checkpoint. Its text is the body of an `add-checkpoint` request of C2SP tlog-witness, so the
/// same file is sent to witnesses.
///
/// ```
/// use attestry_evidence::{ConsistencyProof, MemoryTiles, Policy, SigningKey, leaf_hash, proof};
///
/// # let key = SigningKey::from_seed("example.com/log", &[7; 32])?;
/// let mut tiles = MemoryTiles::new();
/// tiles.extend([leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]);
/// let kept = key.sign(3, tiles.tree().root());
/// tiles.extend([leaf_hash(b"d"), leaf_hash(b"e")]);
///
/// let newer = key.sign(5, tiles.tree().root());
/// let text = ConsistencyProof::new(3, proof::consistency(3, 5, &mut &tiles)?, newer).to_string();
///
/// // Elsewhere, with the older checkpoint and the public key.
/// let policy = Policy::new(key.public());
/// let older = policy.open(&kept)?;
/// let newer = text.parse::<ConsistencyProof>()?.verify(older.checkpoint(), &policy)?;
/// assert_eq!(newer.checkpoint().size(), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    old: u64,
    path: Vec<Hash>,
    checkpoint: String,
}

impl ConsistencyProof {
    /// A proof of these parts: the result of [`proof::consistency`](super::consistency) for `old` and the
    /// size of `checkpoint`, the newer signed checkpoint. Nothing is verified.
    #[must_use]
    pub fn new(old: u64, path: Vec<Hash>, checkpoint: impl Into<String>) -> Self {
        Self { old, path, checkpoint: checkpoint.into() }
    }

    /// The size of the older tree.
    #[must_use]
    pub fn old_size(&self) -> u64 {
        self.old
    }

    /// The hashes of the proof.
    #[must_use]
    pub fn path(&self) -> &[Hash] {
        &self.path
    }

    /// The newer signed checkpoint, not verified.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// Verifies that the signatures of the newer checkpoint satisfy `policy` and that it is consistent
    /// with `older`, which the caller trusts. Returns the newer checkpoint.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Checkpoint`], [`VerifyError::OtherSize`] or [`VerifyError::Proof`].
    pub fn verify(
        &self,
        older: &Checkpoint,
        policy: &Policy,
    ) -> Result<OpenedCheckpoint, VerifyError> {
        let opened = policy.open(&self.checkpoint)?;
        let newer = opened.checkpoint();
        if self.old != older.size() {
            return Err(VerifyError::OtherSize { expected: older.size(), found: self.old });
        }
        verify_consistency(self.old, older.root(), newer.size(), newer.root(), &self.path)?;
        Ok(opened)
    }
}

impl fmt::Display for ConsistencyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for ConsistencyProof {
    type Err = InvalidProof;

    fn from_str(text: &str) -> Result<Self, InvalidProof> {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let old = first.strip_prefix("old ").and_then(parse_number);
        let old = old.ok_or(InvalidProof::Header { expected: "old " })?;
        let (path, checkpoint) = parse_path(rest)?;
        Ok(Self { old, path, checkpoint: checkpoint.to_owned() })
    }
}
