//! An inclusion proof with its checkpoint (C2SP tlog-proof).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{InvalidProof, VerifyError, parse_path, verify_inclusion};
use crate::number::parse_number;
use crate::{Hash, OpenedCheckpoint, Policy};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Proves that a leaf is in a log: its index, the hashes to the root, and the signed checkpoint of that
/// root. Its text is a file in the format `c2sp.org/tlog-proof@v1`, by convention with the extension
/// `.tlog-proof`.
///
/// ```
/// use attestry_evidence::{InclusionProof, MemoryTiles, Policy, SigningKey, line_hash, proof};
///
/// # let key = SigningKey::from_seed("example.com/log", &[7; 32])?;
/// let mut tiles = MemoryTiles::new();
/// for line in ["{\"id\": \"a\"}", "{\"id\": \"b\"}", "{\"id\": \"c\"}"] {
///     tiles.push(line_hash(line.as_bytes())?);
/// }
/// let checkpoint = key.sign(tiles.tree().size(), tiles.tree().root());
/// let text = InclusionProof::new(1, proof::inclusion(1, 3, &mut &tiles)?, checkpoint).to_string();
///
/// // Elsewhere, with the line, the proof and the public key.
/// let policy = Policy::new(key.public());
/// let proof: InclusionProof = text.parse()?;
/// let opened = proof.verify(line_hash(b"{\"id\": \"b\"}")?, &policy)?;
/// assert_eq!(opened.checkpoint().size(), 3);
/// assert!(proof.verify(line_hash(b"{\"id\": \"x\"}")?, &policy).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    index: u64,
    path: Vec<Hash>,
    checkpoint: String,
    extra: Option<Vec<u8>>,
}

impl InclusionProof {
    /// A proof of these parts: the result of [`proof::inclusion`](super::inclusion) for leaf `index` and
    /// the size of `checkpoint`, a signed checkpoint. Nothing is verified.
    #[must_use]
    pub fn new(index: u64, path: Vec<Hash>, checkpoint: impl Into<String>) -> Self {
        Self { index, path, checkpoint: checkpoint.into(), extra: None }
    }

    /// Adds extra data, which is not authenticated.
    #[must_use]
    pub fn with_extra(mut self, extra: Vec<u8>) -> Self {
        self.extra = Some(extra);
        self
    }

    /// The index of the leaf in the log, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The hashes from the leaf's sibling up to the root's child.
    #[must_use]
    pub fn path(&self) -> &[Hash] {
        &self.path
    }

    /// The signed checkpoint, not verified.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// Extra data, not authenticated.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// Verifies that the signatures of the checkpoint satisfy `policy` and that its tree has the leaf hash
    /// `leaf` at [`index`](Self::index). Returns the checkpoint and its cosignatures.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Checkpoint`] or [`VerifyError::Proof`].
    pub fn verify(&self, leaf: Hash, policy: &Policy) -> Result<OpenedCheckpoint, VerifyError> {
        let opened = policy.open(&self.checkpoint)?;
        let tree = opened.checkpoint();
        verify_inclusion(leaf, self.index, tree.size(), &self.path, tree.root())?;
        Ok(opened)
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for InclusionProof {
    type Err = InvalidProof;

    fn from_str(text: &str) -> Result<Self, InvalidProof> {
        let (header, mut rest) = text.split_once('\n').unwrap_or((text, ""));
        if header != HEADER {
            return Err(InvalidProof::Header { expected: HEADER });
        }
        let mut extra = None;
        if let Some((data, after)) = rest.strip_prefix("extra ").and_then(|t| t.split_once('\n')) {
            extra = Some(STANDARD.decode(data).map_err(|_| InvalidProof::Extra)?);
            rest = after;
        }
        let (index, rest) = rest.split_once('\n').ok_or(InvalidProof::Index)?;
        let index = index.strip_prefix("index ").and_then(parse_number);
        let index = index.ok_or(InvalidProof::Index)?;
        let (path, checkpoint) = parse_path(rest)?;
        Ok(Self { index, path, checkpoint: checkpoint.to_owned(), extra })
    }
}
