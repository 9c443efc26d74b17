//! Tamper evidence for a log: a Merkle tree over its lines, signed checkpoints and proofs.
//!
//! The raw lines of a store, in the order written, are the leaves of a Merkle tree. Its root is
//! signed periodically, as a *checkpoint*. An old checkpoint and the public key detect later whether
//! any line before it was altered, inserted, dropped or moved, and whether a missing line was erased
//! with a recorded reason. The threat model is in `docs/evidence.md`.
//!
//! This crate does no I/O on the log; only [`SigningKey`] reads and writes key files. Its formats are
//! standard, so that independent tools can verify them:
//!
//! | what | format |
//! | --- | --- |
//! | [`Tree`], [`leaf_hash`], [`node_hash`] | the Merkle tree of RFC 6962 |
//! | [`Tile`], [`StoredHash`] | C2SP tlog-tiles |
//! | [`Checkpoint`] | C2SP tlog-checkpoint |
//! | [`SigningKey`], [`LogKey`], [`Policy::open`], [`SignedRecord`] | C2SP signed-note, with Ed25519 |
//! | [`WitnessKey`], [`Cosignature`] | C2SP tlog-cosignature, `cosignature/v1` |
//! | [`PolicyFile`] | C2SP tlog-policy |
//! | [`InclusionProof`] | C2SP tlog-proof |
//! | [`ConsistencyProof`] | the request of C2SP tlog-witness |
//!
//! A store hashes each line ([`line_hash`], on any thread), appends the hashes and stores the nodes of
//! the tree ([`Tree::push_with`]), signs ([`SigningKey::sign`]), and creates proofs ([`proof`]). An
//! erasure, or a change of keys, appends a leaf of its own ([`SignedRecord`]). An [`Audit`] verifies a whole store; an
//! [`InclusionProof`] verifies one line without the store.

mod audit;
mod checkpoint;
mod erasure;
mod hash;
mod key;
mod log_keys;
mod memory_tiles;
mod number;
mod open_error;
mod policy;
mod policy_file;
pub mod proof;
mod quorum;
mod record;
mod signed;
mod signing_key;
mod statement;
mod stored;
mod tile;
mod tree;

pub use attestry_keyfile::KeySource;
pub use audit::{Audit, AuditReport, Finding, Mismatch};
pub use checkpoint::{Checkpoint, InvalidCheckpoint};
pub use erasure::{ErasureRecord, InvalidErasure};
pub use hash::{Hash, InvalidHash, LeafHasher, NotOneLine, leaf_hash, line_hash, node_hash};
pub use key::{InvalidKey, KeyError, LogKey, MAX_NAME, WitnessKey};
pub use log_keys::{KeyRange, LogKeys, RecordError};
pub use memory_tiles::{MemoryTiles, NotStored};
pub use open_error::OpenError;
pub use policy::{Cosignature, InvalidPolicy, OpenedCheckpoint, Policy};
pub use policy_file::{InvalidPolicyFile, NamedWitness, PolicyFile};
pub use proof::{ConsistencyProof, InclusionProof, InvalidProof, ProofError, VerifyError};
pub use record::{InvalidRecord, Record, SignedRecord};
pub use signed::SignedCheckpoint;
pub use signing_key::SigningKey;
pub use statement::Statement;
pub use stored::{ReadHashes, StoredHash, TreeError};
pub use tile::{InvalidTile, TILE_HEIGHT, TILE_WIDTH, Tile};
pub use tree::Tree;
/// The wrapper of [`SigningKey::expose_secret`], which wipes the secret text on drop.
pub use zeroize::Zeroizing;
