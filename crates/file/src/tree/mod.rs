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
mod options;
mod places;
mod prove;
mod search;
mod storage;
mod tiles;
mod verify;
mod view;

use std::fs::File;
use std::time::Instant;

use attestry_core::StorageError;
use attestry_evidence::{Hash, Policy, leaf_hash};

use crate::callback;
use crate::erase::Note;
use crate::fs::layout::Folder;
use crate::segment::SegmentName;
use crate::writer::LineEnd;
pub use error::EvidenceError;
use keeper::Keeper;
pub use options::EvidenceOptions;
use options::Hook;
pub(crate) use options::Settings;
pub use prove::EntryProof;
pub use verify::{
    Backfill, CosignedCheckpoint, EvidenceProblem, ProblemKind, Verification, VerifyOptions,
    VerifyProgress,
};

/// The hash of a line's leaf, if it is known.
pub(crate) type Leaf = Option<Hash>;

/// The hash of the leaf of an entry's line, which ends with its line break, if it is `wanted`: this
/// is called where the line is made, on whatever thread, and costs as much as the rest there.
pub(crate) fn leaf_of(line: &[u8], wanted: bool) -> Leaf {
    wanted.then(|| hash_of(line))
}

fn hash_of(line: &[u8]) -> Hash {
    leaf_hash(line.strip_suffix(b"\n").unwrap_or(line))
}

/// The evidence of one store, if it keeps any. Owned by the committer; every method but
/// [`due`](Self::due) and [`take_signed`](Self::take_signed) needs the store's lock.
#[derive(Debug)]
pub(crate) struct Ledger {
    folder: Folder,
    lines_are_synced: bool,
    keeper: Option<Keeper>,
    signing: Option<Signing>,
    closed: bool,
}

/// When checkpoints are signed, and who is told.
#[derive(Debug)]
struct Signing {
    evidence: EvidenceOptions,
    /// When one was signed last, or failed to be, and how large the tree was then.
    attempted: (Instant, u64),
    signed: Vec<Result<String, EvidenceError>>,
}

impl Ledger {
    /// Opens the tree where there is one, and begins one where evidence is asked for. What it lacks
    /// comes with [`catch_up`](Self::catch_up).
    pub(crate) fn open(folder: &Folder, settings: &Settings) -> Result<Self, StorageError> {
        let lines_are_synced = !settings.buffered;
        let mut keeper = Keeper::open(folder, lines_are_synced)?;
        if keeper.is_none() && settings.evidence.is_some() {
            keeper = Some(Keeper::begin(folder, lines_are_synced)?);
        }
        let signing = match (&settings.evidence, &mut keeper) {
            (Some(evidence), Some(keeper)) => {
                let attempted = (Instant::now(), keeper.signed_size()?);
                Some(Signing { evidence: evidence.clone(), attempted, signed: Vec::new() })
            }
            _ => None,
        };
        Ok(Self { folder: folder.clone(), lines_are_synced, keeper, signing, closed: false })
    }

    /// The tree as it is now; `None` where none is kept.
    fn keeper(&mut self) -> Result<Option<&mut Keeper>, StorageError> {
        if self.closed {
            return Ok(None);
        }
        if self.keeper.is_none() {
            // Another process may have begun one.
            self.keeper = Keeper::open(&self.folder, self.lines_are_synced)?;
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.refresh()?;
        }
        Ok(self.keeper.as_mut())
    }

    /// Whether evidence is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.keeper.is_some()
    }

    /// Why nothing can be signed any more.
    pub(crate) fn broken(&mut self) -> Option<String> {
        let keeper = self.keeper.as_mut()?;
        let key = self.signing.as_ref().map(|signing| &signing.evidence.key);
        let error = keeper.agrees_with_latest(key).err()?;
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        Some(format!("{error}{}", source.unwrap_or_default()))
    }

    /// Takes lines into the tree that others wrote, or that a crash kept out of it.
    pub(crate) fn catch_up(&mut self) -> Result<(), StorageError> {
        if let Some(keeper) = self.keeper()? {
            keeper.catch_up()?;
        }
        Ok(())
    }

    /// Makes sure that the tree has all lines up to the end of the segment that is appended to
    /// next, which is `length` bytes long. A `fresh` one was just opened.
    pub(crate) fn cover(
        &mut self,
        name: SegmentName,
        file: &File,
        length: u64,
        fresh: bool,
    ) -> Result<(), StorageError> {
        // Whether a tree was begun since is asked where a segment is opened, and before erasing; not
        // for every batch. Who has one takes in what is appended meanwhile.
        if (fresh || self.keeper.is_some())
            && let Some(keeper) = self.keeper()?
        {
            keeper.cover(name, file, length, fresh)?;
        }
        Ok(())
    }

    /// Takes in lines that were appended to the segment that was [covered](Self::cover), `length`
    /// bytes long now: those of `bytes` from `start` on that end at `ends`. Should that fail, they
    /// are taken in before anything else is appended.
    pub(crate) fn extend(&mut self, bytes: &[u8], start: usize, ends: &[LineEnd], length: u64) {
        let Some(keeper) = self.keeper.as_mut().filter(|_| !self.closed) else { return };
        let mut start = start;
        let leaves = ends.iter().map(|end| {
            let line = std::mem::replace(&mut start, end.at)..end.at;
            end.leaf.unwrap_or_else(|| hash_of(&bytes[line]))
        });
        keeper.extend(leaves, length);
    }

    /// A segment is about to be renamed.
    pub(crate) fn renaming(
        &mut self,
        from: SegmentName,
        to: SegmentName,
    ) -> Result<(), StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.renaming(from, to)?),
            None => Ok(()),
        }
    }

    /// A segment without lines was removed.
    pub(crate) fn removed(&mut self, name: SegmentName) {
        if let Ok(Some(keeper)) = self.keeper() {
            keeper.removed(name);
        }
    }

    /// A segment lost its blank lines, and is `length` bytes long now.
    pub(crate) fn compacted(&mut self, name: SegmentName, length: u64) {
        if let Ok(Some(keeper)) = self.keeper() {
            keeper.compacted(name, length);
        }
    }

    /// What is erased cannot be made again from the segments: puts the tree on stable storage.
    pub(crate) fn before_erasing(&mut self) -> Result<(), StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.mark_if_grown()?),
            None => Ok(()),
        }
    }

    /// The leaf of a line, which lies about there in its segment: 0 is its beginning, 1 its end.
    pub(crate) fn find_line(
        &mut self,
        name: SegmentName,
        line: &[u8],
        share: f64,
    ) -> Result<Option<u64>, StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.find_line(name, hash_of(line), share)?),
            None => Ok(None),
        }
    }

    /// All leaves of a segment whose lines are there, as ranges.
    pub(crate) fn lines_of(&mut self, name: SegmentName) -> Result<Vec<(u64, u64)>, StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.lines_of(name)?),
            None => Ok(Vec::new()),
        }
    }

    /// Puts on record that the leaves of `ranges` were erased. When it returns, the records are
    /// on stable storage. `first_time` tells whether some of them may be there already.
    pub(crate) fn record(
        &mut self,
        ranges: &[(u64, u64)],
        note: &Note,
        first_time: bool,
    ) -> Result<(), StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.record(ranges, note, first_time)?),
            None => Ok(()),
        }
    }

    /// When the next checkpoint is due, if anything has come since the last one.
    pub(crate) fn due(&self) -> Option<Instant> {
        let (keeper, signing) = (self.keeper.as_ref()?, self.signing.as_ref()?);
        let (last, signed) = signing.attempted;
        let new = keeper.size().saturating_sub(signed);
        match new {
            0 => None,
            _ if new >= signing.evidence.every_entries => Some(last),
            // A time beyond all clocks never comes.
            _ => last.checked_add(signing.evidence.every),
        }
    }

    /// Signs a checkpoint, if the segment that grows could be `synced`.
    pub(crate) fn sign_when_due(&mut self, synced: Result<(), StorageError>) {
        let outcome = synced.map_err(EvidenceError::from).and_then(|()| self.checkpoint());
        if let (Err(error), Some(signing)) = (outcome, &mut self.signing) {
            let size = self.keeper.as_ref().map_or(0, Keeper::size);
            signing.attempted = (Instant::now(), size);
            signing.signed.push(Err(error));
        }
    }

    /// The checkpoint of all that is there: a new one, or the latest where nothing has come since.
    /// The segment that grows must be synced.
    pub(crate) fn checkpoint(&mut self) -> Result<String, EvidenceError> {
        let path = self.folder.path().to_path_buf();
        let Some(Signing { evidence, .. }) = &self.signing else {
            return Err(EvidenceError::NoSigningKey { path });
        };
        let key = evidence.key.clone();
        let keeper = self.keeper()?.ok_or(EvidenceError::NotKept { path })?;
        keeper.catch_up()?;
        let (checkpoint, new) = keeper.sign(&key)?;
        let size = keeper.size();
        if let Some(signing) = &mut self.signing {
            signing.attempted = (Instant::now(), size);
            if new {
                signing.signed.push(Ok(checkpoint.clone()));
            }
        }
        Ok(checkpoint)
    }

    /// Stores a checkpoint that witnesses have cosigned.
    pub(crate) fn cosign(&mut self, note: &str, policy: &Policy) -> Result<(), EvidenceError> {
        let path = self.folder.path().to_path_buf();
        let keeper = self.keeper()?.ok_or(EvidenceError::NotKept { path })?;
        keeper.cosign(note, policy)
    }

    /// What was signed since this was last asked, and who is to be told.
    pub(crate) fn take_signed(&mut self) -> Signed {
        match &mut self.signing {
            Some(Signing { evidence, signed, .. }) => {
                Signed { hook: evidence.hook.clone(), signed: std::mem::take(signed) }
            }
            None => Signed { hook: None, signed: Vec::new() },
        }
    }

    /// Puts the tree on stable storage and lets go of its files.
    pub(crate) fn close(&mut self) -> Result<(), StorageError> {
        let marked = match self.keeper()? {
            Some(keeper) => keeper.mark_if_grown(),
            None => Ok(()),
        };
        self.closed = true;
        self.keeper = None;
        Ok(marked?)
    }
}

/// Checkpoints on their way to whoever wants to have them.
pub(crate) struct Signed {
    hook: Option<Hook>,
    signed: Vec<Result<String, EvidenceError>>,
}

impl Signed {
    /// Whether there is nothing to hand out, or nobody who wants it.
    pub(crate) fn is_empty(&self) -> bool {
        self.hook.is_none() || self.signed.is_empty()
    }

    /// Hands them out. No lock is held meanwhile.
    pub(crate) fn tell(self) {
        if let Some(hook) = self.hook {
            for signed in &self.signed {
                callback::run(|| hook(signed.as_deref()));
            }
        }
    }
}
