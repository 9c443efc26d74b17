//! Observer of the log: the writer reports its changes here, and knows nothing of the Merkle tree.
//!
//! With the feature `evidence` the observer is the Merkle tree; otherwise it is `NoObserver`. The
//! writer thread owns it. Every method that takes `&mut self`, except `take_callbacks`, requires the
//! store lock. Order of calls:
//!
//! * open: `check_intent`, `erased` and `segment_removed` for an interrupted erasure, `catch_up`, `fault`,
//!   `unsigned_size`, `unsigned_leaves`
//! * append: `before_append`, write and sync, `appended`; once per rotated part of a batch
//! * seal: `before_rename`, rename; `before_rename` with swapped names if the rename failed
//! * erase: `catch_up`, `before_erase`, `find_leaf` and `leaves_of`, `sign_intent`, write the intent log,
//!   overwrite and unlink, `erased`, `segment_removed`, clear the intent log
//! * compact: replace the segment, then `segment_compacted` or `segment_removed`
//! * checkpoint: sync the active segment, then `on_deadline`; `take_callbacks` and run them unlocked
//! * close: sync, `on_deadline` if there is a deadline, `close`, `take_callbacks`
//!
//! An error refuses the operation that the call belongs to, before anything was written to a segment.
//! The exception is `erased`: the intent log stays, and the erasure is repeated with `redo`. Methods that
//! return nothing report what has happened already: an observer that fails to record it catches up in its
//! next fallible call.

use std::any::Any;
use std::fmt::Debug;
use std::fs::File;
use std::time::Instant;

use attestry_core::{AuditEntry, StorageError, Timestamp};
use serde::{Deserialize, Serialize};

use crate::segment::SegmentName;

/// The hash of a line as a leaf of the Merkle tree.
pub(crate) type LeafHash = [u8; 32];

/// Computes the leaf hash of a line, given with its line break.
pub(crate) type LeafHasher = fn(&[u8]) -> LeafHash;

/// User code, bound to its arguments; may block or panic.
pub(crate) type Callback = Box<dyn FnOnce() + Send>;

/// The end of one line in a buffer of lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineEnd {
    /// Offset behind the line break.
    pub(crate) at: usize,
    /// How many terms the lines of the buffer have up to this end.
    pub(crate) terms: usize,
    /// The leaf hash, if the caller's task has computed it: on the writer thread it would delay every
    /// other caller.
    pub(crate) leaf: Option<LeafHash>,
    /// What an index needs to know of the line; `None`: the line is read when it is indexed.
    pub(crate) key: Option<LineKey>,
}

/// What an index is made of. The id is not hashed yet: that would cost each append more than all else here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineKey {
    pub(crate) timestamp: Timestamp,
    /// The id is in the line from [`ID_OFFSET`](Self::ID_OFFSET) on, unescaped.
    pub(crate) id_len: u32,
}

impl LineKey {
    pub(crate) const ID_OFFSET: usize = br#"{"id": ""#.len();

    /// The key of an entry encoded as `line`; `None` if its id is escaped there.
    pub(crate) fn of(entry: &AuditEntry, line: &[u8]) -> Option<Self> {
        let id = entry.id.as_str().as_bytes();
        let timestamp = entry.timestamp;
        let key = Self { timestamp, id_len: u32::try_from(id.len()).ok()? };
        line.get(Self::ID_OFFSET..)?.starts_with(id).then_some(key)
    }
}

/// Why, by whom and when entries were erased. Stored in the intent log and in the erasure record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EraseReason {
    pub(crate) reason: String,
    pub(crate) by: String,
    pub(crate) at: Timestamp,
}

impl EraseReason {
    /// Limit of each text, that of an erasure record.
    pub(crate) const MAX_TEXT_BYTES: usize = 1_024;

    /// Dated now. Fails if a text is too long.
    pub(crate) fn new(reason: String, by: String) -> Result<Self, StorageError> {
        for (field, text) in [("reason", &reason), ("name", &by)] {
            if text.len() > Self::MAX_TEXT_BYTES {
                let message = format!(
                    "the {field} of an erasure has {} bytes; at most {} are allowed",
                    text.len(),
                    Self::MAX_TEXT_BYTES
                );
                return Err(StorageError::message(message));
            }
        }
        Ok(Self { reason, by, at: Timestamp::now() })
    }
}

/// Whether a program that may erase has written an intent log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IntentCheck {
    Authentic,
    /// It was not written by one, for this reason.
    #[cfg_attr(not(feature = "evidence"), expect(dead_code, reason = "no observer signs"))]
    Forged(String),
}

/// Leaves of a tree that no checkpoint covers: changes of their lines are not detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnsignedLeaves {
    /// How many.
    pub leaves: u64,
    /// When the last checkpoint was signed; without any, when the tree began.
    pub since: Timestamp,
}

/// Observes every change of one store's log; see the [module](self) for the order of calls. Methods
/// that are not overridden do nothing.
pub(crate) trait LogObserver: Any + Debug + Send {
    /// The hash function for [`LineEnd::leaf`], while the observer records lines. `None`: it is idle,
    /// and erasures need no record. Another process can make it active, never idle.
    fn leaf_hasher(&self) -> Option<LeafHasher> {
        None
    }

    /// Records the lines that are in the segments but were not reported: written by other programs, or
    /// before a crash.
    fn catch_up(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Why the log contradicts what the observer has published, for the recovery report.
    fn fault(&mut self) -> Option<String> {
        None
    }

    /// How much was recorded of which no signature is stored, although there should be one.
    fn unsigned_size(&mut self) -> Option<u64> {
        None
    }

    /// What has been without a signature for long, if this process has no key for one.
    fn unsigned_leaves(&mut self, _now: Timestamp) -> Result<Option<UnsignedLeaves>, StorageError> {
        Ok(None)
    }

    /// Records the lines of `segment` up to `length`, the end of `file`, where the next append goes.
    /// `reopened`: the writer has opened the file since the last call, so that other segments may have
    /// changed too.
    fn before_append(
        &mut self,
        segment: SegmentName,
        file: &File,
        length: u64,
        reopened: bool,
    ) -> Result<(), StorageError> {
        let _ = (segment, file, length, reopened);
        Ok(())
    }

    /// Lines were appended to the segment of the last [`before_append`](Self::before_append), as durably
    /// as the store promises; it has `length` bytes now. The lines are those of `bytes` from `start` on
    /// that end at `ends`.
    fn appended(&mut self, bytes: &[u8], start: usize, ends: &[LineEnd], length: u64) {
        let _ = (bytes, start, ends, length);
    }

    /// A segment is about to be renamed. Durable when this returns.
    fn before_rename(&mut self, from: SegmentName, to: SegmentName) -> Result<(), StorageError> {
        let _ = (from, to);
        Ok(())
    }

    /// A segment was unlinked, after its lines were erased or because it had none.
    fn segment_removed(&mut self, segment: SegmentName) {
        let _ = segment;
    }

    /// A segment was rewritten without its blank lines and has `length` bytes now.
    fn segment_compacted(&mut self, segment: SegmentName, length: u64) {
        let _ = (segment, length);
    }

    /// Lines are about to be erased, after which nothing can be rebuilt from them. What was recorded so
    /// far is durable when this returns. Fails if the erasure may not be recorded.
    fn before_erase(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    /// A signature of the intent log with this SHA-256, one line; `None` if it needs none.
    fn sign_intent(&mut self, sha256: &str) -> Result<Option<String>, StorageError> {
        let _ = sha256;
        Ok(None)
    }

    /// Whether an intent log that was found may be carried out. Fails if that cannot be said now.
    fn check_intent(
        &mut self,
        sha256: &str,
        signature: Option<&str>,
    ) -> Result<IntentCheck, StorageError> {
        let _ = (sha256, signature);
        Ok(IntentCheck::Authentic)
    }

    /// The leaf of a line of `segment`, given with or without its line break. `position` is where it is
    /// in the segment, from 0 (start) to 1 (end); of equal lines, the leaf nearest to it is returned.
    fn find_leaf(
        &mut self,
        segment: SegmentName,
        line: &[u8],
        position: f64,
    ) -> Result<Option<u64>, StorageError> {
        let _ = (segment, line, position);
        Ok(None)
    }

    /// The leaves of all lines of `segment` that were not erased, as half-open ranges.
    fn leaves_of(&mut self, segment: SegmentName) -> Result<Vec<(u64, u64)>, StorageError> {
        let _ = segment;
        Ok(Vec::new())
    }

    /// The lines of the leaves in `ranges`, half-open and ascending, were erased. The record of it is
    /// durable when this returns. Idempotent with `redo`, which is set if it may have been recorded
    /// before a crash.
    fn erased(
        &mut self,
        ranges: &[(u64, u64)],
        reason: &EraseReason,
        redo: bool,
    ) -> Result<(), StorageError> {
        let _ = (ranges, reason, redo);
        Ok(())
    }

    /// When [`on_deadline`](Self::on_deadline) is to be called. Needs no lock.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has passed. `synced`: the outcome of syncing the active segment just now.
    fn on_deadline(&mut self, synced: Result<(), StorageError>) {
        let _ = synced;
    }

    /// Takes the callbacks that have become due, to be run in order without any lock. Needs no lock.
    fn take_callbacks(&mut self) -> Vec<Callback> {
        Vec::new()
    }

    /// Makes everything recorded durable. Later calls do nothing.
    fn close(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// The observer of builds without the feature `evidence`.
#[cfg(any(test, fuzzing, not(feature = "evidence")))]
#[derive(Debug)]
pub(crate) struct NoObserver;

#[cfg(any(test, fuzzing, not(feature = "evidence")))]
impl LogObserver for NoObserver {}
