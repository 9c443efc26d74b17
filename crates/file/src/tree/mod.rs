//! Evidence: the Merkle tree over the lines of a store, its signed checkpoints, and proofs.
//!
//! `docs/evidence.md` states what it proves; the tree itself is the crate `attestry-evidence`.
//!
//! The writer thread owns a [`TreeObserver`]. It reports what was appended, renamed and erased, under
//! the store lock. Before it appends, lines of other programs are replayed. The files of the tree are
//! written after every batch and synced now and then; the tree head states how much of them is valid.
//! What a crash takes is replayed from the segments, except for what a checkpoint refers to: that is
//! synced before the checkpoint is signed.
//!
//! Readers ([`verify`], [`prove`]) take a snapshot of the files and no part in this.

pub(crate) mod anchor_records;
mod checkpoint_reader;
mod checkpoints;
pub(crate) mod compare;
mod erase;
pub(crate) mod erasures;
mod error;
#[cfg(any(test, fuzzing))]
#[path = "../../tests/fuzz/tree/mod.rs"]
pub(crate) mod fuzzing;
mod intent;
mod keys;
mod leaf_search;
mod line_hashes;
mod memory;
mod observer;
mod options;
pub(crate) mod prove;
pub(crate) mod read_tile;
pub(crate) mod rebuild;
mod records;
mod replay;
mod segment_map;
mod sign;
mod snapshot;
mod statements;
mod text_file;
mod text_lines;
pub(crate) mod tile_export;
mod tiles;
pub(crate) mod timestamps;
mod tree_head;
mod tree_writer;
pub(crate) mod verify;

pub use anchor_records::{AnchorRecord, HeldCheckpoint};
pub use checkpoint_reader::CheckpointReader;
pub use compare::Comparison;
pub use erasures::{Erasure, Erasures, RecordSignature, RecordedErasure};
pub use error::EvidenceError;
pub use memory::SignerMemory;
pub(crate) use observer::TreeObserver;
pub use options::EvidenceOptions;
pub use prove::EntryProof;
pub use rebuild::TreeRebuild;
pub use tile_export::TileExport;
pub use timestamps::StoredTimestamp;
pub use verify::{
    Backfill, CosignedCheckpoint, EvidenceProblem, NewestCheckpoint, Observation, ObservationKind,
    ProblemKind, Verification, VerifyOptions, VerifyProgress,
};
