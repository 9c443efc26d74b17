//! The Merkle tree as the observer of the log.

use std::any::Any;
use std::fs::File;
use std::time::Instant;

use attestry_core::StorageError;
use attestry_evidence::{ErasureRecord, Hash, Policy, leaf_hash};

use super::EvidenceError;
use super::keeper::Keeper;
use super::options::{EvidenceOptions, Hook};
use crate::fs::layout::Folder;
use crate::observer::{Callback, EraseReason, LeafHash, LeafHasher, LineEnd, LogObserver};
use crate::segment::SegmentName;

const _: () = assert!(EraseReason::MAX_TEXT_BYTES == ErasureRecord::MAX_TEXT);

/// The tree of one store, if it has one, and the schedule of its checkpoints.
#[derive(Debug)]
pub(crate) struct TreeObserver {
    folder: Folder,
    /// `Durability::Sync`: lines are on stable storage before they are reported.
    lines_are_synced: bool,
    /// `None` while the store has no tree. Another process may create one.
    keeper: Option<Keeper>,
    signing: Option<Signing>,
    closed: bool,
}

/// When checkpoints are signed, and those that were not passed to the hook yet.
#[derive(Debug)]
struct Signing {
    options: EvidenceOptions,
    /// Time of the last attempt and size of the tree then.
    last: (Instant, u64),
    results: Vec<Result<String, EvidenceError>>,
}

impl TreeObserver {
    /// Opens the tree of `folder`; creates one if there are `options` and it is missing. Lines that it
    /// lacks are added by [`catch_up`](LogObserver::catch_up).
    pub(crate) fn open(
        folder: &Folder,
        options: Option<EvidenceOptions>,
        lines_are_synced: bool,
    ) -> Result<Self, StorageError> {
        let mut keeper = Keeper::open(folder, lines_are_synced)?;
        if keeper.is_none() && options.is_some() {
            keeper = Some(Keeper::begin(folder, lines_are_synced)?);
        }
        let signing = match (options, &mut keeper) {
            (Some(options), Some(keeper)) => {
                let last = (Instant::now(), keeper.signed_size()?);
                Some(Signing { options, last, results: Vec::new() })
            }
            _ => None,
        };
        Ok(Self { folder: folder.clone(), lines_are_synced, keeper, signing, closed: false })
    }

    /// Casts the observer of a store.
    pub(crate) fn from_any<'a>(
        observer: &'a mut (dyn LogObserver + 'static),
    ) -> Option<&'a mut Self> {
        (observer as &mut dyn Any).downcast_mut()
    }

    /// The tree as last published by any process; `None` if there is none.
    fn keeper(&mut self) -> Result<Option<&mut Keeper>, StorageError> {
        if self.closed {
            return Ok(None);
        }
        if self.keeper.is_none() {
            self.keeper = Keeper::open(&self.folder, self.lines_are_synced)?;
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.refresh()?;
        }
        Ok(self.keeper.as_mut())
    }

    /// The checkpoint of all lines: a new one, or the latest if the tree has not grown since. The
    /// active segment must be synced.
    pub(crate) fn checkpoint(&mut self) -> Result<String, EvidenceError> {
        let path = self.folder.path().to_path_buf();
        let Some(Signing { options, .. }) = &self.signing else {
            return Err(EvidenceError::NoSigningKey { path });
        };
        let key = options.key.clone();
        let keeper = self.keeper()?.ok_or(EvidenceError::NotKept { path })?;
        keeper.catch_up()?;
        let (checkpoint, new) = keeper.sign(&key)?;
        let size = keeper.size();
        if let Some(signing) = &mut self.signing {
            signing.last = (Instant::now(), size);
            if new {
                signing.results.push(Ok(checkpoint.clone()));
            }
        }
        Ok(checkpoint)
    }

    /// Stores a checkpoint with cosignatures of witnesses.
    pub(crate) fn store_cosigned(
        &mut self,
        note: &str,
        policy: &Policy,
    ) -> Result<(), EvidenceError> {
        let path = self.folder.path().to_path_buf();
        let keeper = self.keeper()?.ok_or(EvidenceError::NotKept { path })?;
        keeper.cosign(note, policy)
    }
}

/// The leaf hash of a line, given with or without its line break.
fn hash_line(line: &[u8]) -> Hash {
    leaf_hash(line.strip_suffix(b"\n").unwrap_or(line))
}

fn hash_for_caller(line: &[u8]) -> LeafHash {
    *hash_line(line).as_bytes()
}

impl LogObserver for TreeObserver {
    fn leaf_hasher(&self) -> Option<LeafHasher> {
        self.keeper.as_ref().map(|_| hash_for_caller as LeafHasher)
    }

    fn catch_up(&mut self) -> Result<(), StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.catch_up()?),
            None => Ok(()),
        }
    }

    fn fault(&mut self) -> Option<String> {
        let keeper = self.keeper.as_mut()?;
        let key = self.signing.as_ref().map(|signing| &signing.options.key);
        let error = keeper.agrees_with_latest(key).err()?;
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        Some(format!("{error}{}", source.unwrap_or_default()))
    }

    fn before_append(
        &mut self,
        segment: SegmentName,
        file: &File,
        length: u64,
        reopened: bool,
    ) -> Result<(), StorageError> {
        // Only a reopened segment and an erasure look for a tree that another process has created:
        // one look for each batch would cost too much. Its creator records what is appended meanwhile.
        if (reopened || self.keeper.is_some())
            && let Some(keeper) = self.keeper()?
        {
            keeper.cover(segment, file, length, reopened)?;
        }
        Ok(())
    }

    fn appended(&mut self, bytes: &[u8], start: usize, ends: &[LineEnd], length: u64) {
        let Some(keeper) = self.keeper.as_mut().filter(|_| !self.closed) else { return };
        let mut start = start;
        let leaves = ends.iter().map(|end| {
            let line = std::mem::replace(&mut start, end.at)..end.at;
            end.leaf.map_or_else(|| hash_line(&bytes[line]), Hash::from_bytes)
        });
        keeper.extend(leaves, length);
    }

    fn before_rename(&mut self, from: SegmentName, to: SegmentName) -> Result<(), StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.renaming(from, to)?),
            None => Ok(()),
        }
    }

    fn segment_removed(&mut self, segment: SegmentName) {
        if let Ok(Some(keeper)) = self.keeper() {
            keeper.removed(segment);
        }
    }

    fn segment_compacted(&mut self, segment: SegmentName, length: u64) {
        if let Ok(Some(keeper)) = self.keeper() {
            keeper.compacted(segment, length);
        }
    }

    fn before_erase(&mut self) -> Result<(), StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.mark_if_grown()?),
            None => Ok(()),
        }
    }

    fn find_leaf(
        &mut self,
        segment: SegmentName,
        line: &[u8],
        position: f64,
    ) -> Result<Option<u64>, StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.find_line(segment, hash_line(line), position)?),
            None => Ok(None),
        }
    }

    fn leaves_of(&mut self, segment: SegmentName) -> Result<Vec<(u64, u64)>, StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.lines_of(segment)?),
            None => Ok(Vec::new()),
        }
    }

    fn erased(
        &mut self,
        ranges: &[(u64, u64)],
        reason: &EraseReason,
        redo: bool,
    ) -> Result<(), StorageError> {
        match self.keeper()? {
            Some(keeper) => Ok(keeper.record(ranges, reason, !redo)?),
            None => Ok(()),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let (keeper, signing) = (self.keeper.as_ref()?, self.signing.as_ref()?);
        let (last, signed) = signing.last;
        match keeper.size().saturating_sub(signed) {
            0 => None,
            new if new >= signing.options.every_entries => Some(last),
            // `None` after overflow: never.
            _ => last.checked_add(signing.options.every),
        }
    }

    fn on_deadline(&mut self, synced: Result<(), StorageError>) {
        let signed = synced.map_err(EvidenceError::from).and_then(|()| self.checkpoint());
        if let (Err(error), Some(signing)) = (signed, &mut self.signing) {
            let size = self.keeper.as_ref().map_or(0, Keeper::size);
            signing.last = (Instant::now(), size);
            signing.results.push(Err(error));
        }
    }

    fn take_callbacks(&mut self) -> Vec<Callback> {
        let Some(Signing { options, results, .. }) = &mut self.signing else { return Vec::new() };
        let results = std::mem::take(results).into_iter();
        match &options.hook {
            Some(hook) => results.map(|result| bind(hook.clone(), result)).collect(),
            None => Vec::new(),
        }
    }

    fn close(&mut self) -> Result<(), StorageError> {
        let persisted = match self.keeper()? {
            Some(keeper) => keeper.mark_if_grown(),
            None => Ok(()),
        };
        self.closed = true;
        self.keeper = None;
        Ok(persisted?)
    }
}

fn bind(hook: Hook, result: Result<String, EvidenceError>) -> Callback {
    Box::new(move || hook(result.as_deref()))
}
