//! Proof that a log was not rewritten, for someone who holds a public key and an old checkpoint.
//!
//! The raw lines of a store, in the order written, are the leaves of a Merkle tree. Its root is
//! signed now and then, as a *checkpoint*. Whoever kept a checkpoint can tell later whether any
//! line before it was altered, inserted, dropped or moved, and whether a line that is gone was
//! erased for a reason that was put on record. What this catches and what it cannot is in
//! `docs/evidence.md`.
//!
//! This crate does no I/O, and uses other people's formats, so that other people's tools can check
//! what it says:
//!
//! | what | format |
//! | --- | --- |
//! | [`Tree`], [`leaf_hash`], [`node_hash`] | the Merkle tree of RFC 6962 |
//! | [`Tile`], [`StoredHash`] | C2SP tlog-tiles |
//! | [`Checkpoint`] | C2SP tlog-checkpoint |
//! | [`SigningKey`], [`LogKey`], [`Policy::open`] | C2SP signed-note, with Ed25519 |
//! | [`WitnessKey`], [`Cosignature`] | C2SP tlog-cosignature, `cosignature/v1` |
//! | [`InclusionProof`] | C2SP tlog-proof |
//! | [`ConsistencyProof`] | the request of C2SP tlog-witness |
//!
//! A store hashes each line ([`line_hash`], on whatever thread has it), appends the hashes
//! ([`Tree::push_with`]) and stores what comes out of that, signs ([`SigningKey::sign`]), and
//! answers with proofs ([`proof`]). An erasure leaves a leaf of its own ([`ErasureRecord`]). Whoever
//! doubts the store goes through it with an [`Audit`], or needs no store and checks an
//! [`InclusionProof`].

mod audit;
mod checkpoint;
mod erasure;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod hash;
mod key;
mod policy;
pub mod proof;
mod stored;
mod tile;
mod tree;

pub use audit::{Audit, AuditReport, Finding, Mismatch};
pub use checkpoint::{Checkpoint, InvalidCheckpoint};
pub use erasure::{ErasureRecord, InvalidErasure};
pub use hash::{Hash, InvalidHash, LeafHasher, NotOneLine, leaf_hash, line_hash, node_hash};
pub use key::{InvalidKey, LogKey, MAX_NAME, SigningKey, WitnessKey};
pub use policy::{Cosignature, InvalidPolicy, OpenError, OpenedCheckpoint, Policy};
pub use proof::{ConsistencyProof, InclusionProof, InvalidProof, ProofError, VerifyError};
pub use stored::{MemoryTiles, NotStored, ReadHashes, StoredHash, TreeError};
pub use tile::{InvalidTile, TILE_HEIGHT, TILE_WIDTH, Tile};
pub use tree::Tree;
/// The wrapper in which [`SigningKey::expose_secret`] hands out the secret text: wiped when dropped.
pub use zeroize::Zeroizing;
