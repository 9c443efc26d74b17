//! Evidence that nothing in the store was changed: a Merkle tree of its lines, checkpoints of it
//! that are signed, and proofs. `docs/evidence.md` says what that proves; the tree itself is the
//! crate `attestry-evidence`.
//!
//! The committer keeps a [`Ledger`]. It hands in what it has appended, renamed and erased, always
//! under the store's lock, and before it appends it has the tree brought up to date with whatever
//! others did (`catch_up`). Files of the tree (`tiles`, `places`, `erased`) are written after every
//! batch and synced now and then; `head` says up to where they can be relied on. What a crash takes
//! of them is made again from the segments, except what a checkpoint was signed of: that is synced
//! before it is signed.
//!
//! Readers (`verify`, `prove`) take no part in this: they look at the files (`view`).

mod catch_up;
mod checkpoints;
mod erased;
mod erasures_file;
mod error;
#[cfg(any(test, fuzzing))]
#[path = "../../tests/fuzz/tree/mod.rs"]
pub(crate) mod fuzzing;
mod head;
mod keeper;
mod lines;
mod observer;
mod options;
mod places;
pub(crate) mod prove;
mod search;
mod tiles;
pub(crate) mod verify;
mod view;

pub use error::EvidenceError;
pub(crate) use observer::TreeObserver;
pub use options::EvidenceOptions;
pub use prove::EntryProof;
pub use verify::{
    Backfill, CosignedCheckpoint, EvidenceProblem, ProblemKind, Verification, VerifyOptions,
    VerifyProgress,
};
