//! The Merkle tree as the observer of the log.

use std::any::Any;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use attestry_core::metrics::StorageCounters;
use attestry_core::{StorageError, Timestamp, event};
use attestry_evidence::{ErasureRecord, Hash, Policy, SignedCheckpoint, leaf_hash};

use super::error::EvidenceError;
use super::options::{EvidenceOptions, Hook};
use super::tree_writer::TreeWriter;
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
    writer: Option<TreeWriter>,
    signing: Option<Signing>,
    counters: Arc<StorageCounters>,
    closed: bool,
}

/// When checkpoints are signed, and those that were not passed to the hook yet.
#[derive(Debug)]
struct Signing {
    options: EvidenceOptions,
    /// Time of the last attempt and size of the tree then.
    last: (Instant, u64),
    results: Vec<Result<SignedCheckpoint, EvidenceError>>,
    /// The size of the tree that was found without any checkpoint.
    unsigned: Option<u64>,
}

impl TreeObserver {
    /// Opens the tree of `folder`; creates one if there are `options` and it is missing. Lines that it
    /// lacks are added by [`catch_up`](LogObserver::catch_up).
    pub(crate) fn open(
        folder: &Folder,
        options: Option<EvidenceOptions>,
        lines_are_synced: bool,
    ) -> Result<Self, StorageError> {
        let mut writer = TreeWriter::open(folder, lines_are_synced)?;
        if writer.is_none() && options.is_some() {
            writer = Some(TreeWriter::create(folder, lines_are_synced)?);
        }
        let signing = match (options, &mut writer) {
            (Some(options), Some(writer)) => {
                let last = (Instant::now(), writer.signed_size()?);
                let is_regular = options.every < Duration::MAX;
                let unsigned =
                    (is_regular && last.1 == 0 && writer.size() > 0).then(|| writer.size());
                Some(Signing { options, last, results: Vec::new(), unsigned })
            }
            _ => None,
        };
        let (folder, counters) = (folder.clone(), Arc::default());
        Ok(Self { folder, lines_are_synced, writer, signing, counters, closed: false })
    }

    /// The same, counting with `counters`.
    pub(crate) fn with_counters(mut self, counters: Arc<StorageCounters>) -> Self {
        self.counters = counters;
        self
    }

    /// Casts the observer of a store.
    pub(crate) fn from_any<'a>(
        observer: &'a mut (dyn LogObserver + 'static),
    ) -> Option<&'a mut Self> {
        (observer as &mut dyn Any).downcast_mut()
    }

    /// The tree as last published by any process; `None` if there is none.
    fn writer(&mut self) -> Result<Option<&mut TreeWriter>, StorageError> {
        if self.closed {
            return Ok(None);
        }
        if self.writer.is_none() {
            self.writer = TreeWriter::open(&self.folder, self.lines_are_synced)?;
        }
        if let Some(writer) = &mut self.writer {
            writer.refresh()?;
        }
        Ok(self.writer.as_mut())
    }

    /// The checkpoint of all lines: a new one, or the latest if the tree has not grown since. The
    /// active segment must be synced.
    pub(crate) fn checkpoint(&mut self) -> Result<SignedCheckpoint, EvidenceError> {
        let signed = self.sign();
        if let Err(error) = &signed {
            self.checkpoint_failed(error);
        }
        signed
    }

    fn checkpoint_failed(&self, error: &EvidenceError) {
        self.counters.checkpoint_failed(error.kind());
        event!(WARN, kind = error.kind().as_str(), "checkpoint failed");
    }

    fn sign(&mut self) -> Result<SignedCheckpoint, EvidenceError> {
        let path = self.folder.path().to_path_buf();
        let Some(Signing { options, .. }) = &self.signing else {
            return Err(EvidenceError::NoSigningKey { path });
        };
        let key = options.key.clone();
        let writer = self.writer()?.ok_or(EvidenceError::NotKept { path })?;
        writer.replay_all()?;
        let (checkpoint, new) = writer.sign(&key)?;
        let size = writer.size();
        if let Some(signing) = &mut self.signing {
            signing.last = (Instant::now(), size);
            if new {
                self.counters.checkpoint(Timestamp::now(), size);
                event!(INFO, size = size, "checkpoint signed");
                signing.results.push(Ok(checkpoint.clone()));
            }
        }
        Ok(checkpoint)
    }

    /// Stores a checkpoint with cosignatures of witnesses.
    pub(crate) fn store_cosigned(
        &mut self,
        note: &SignedCheckpoint,
        policy: &Policy,
    ) -> Result<(), EvidenceError> {
        let path = self.folder.path().to_path_buf();
        let writer = self.writer()?.ok_or(EvidenceError::NotKept { path })?;
        writer.store_cosigned(note, policy)
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
        self.writer.as_ref().map(|_| hash_for_caller as LeafHasher)
    }

    fn catch_up(&mut self) -> Result<(), StorageError> {
        match self.writer()? {
            Some(writer) => Ok(writer.replay_all()?),
            None => Ok(()),
        }
    }

    fn fault(&mut self) -> Option<String> {
        let writer = self.writer.as_mut()?;
        let key = self.signing.as_ref().map(|signing| &signing.options.key);
        let error = writer.check_latest(key).err()?;
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        Some(format!("{error}{}", source.unwrap_or_default()))
    }

    fn unsigned_size(&mut self) -> Option<u64> {
        self.signing.as_ref()?.unsigned
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
        if (reopened || self.writer.is_some())
            && let Some(writer) = self.writer()?
        {
            writer.replay_active(segment, file, length, reopened)?;
        }
        Ok(())
    }

    fn appended(&mut self, bytes: &[u8], start: usize, ends: &[LineEnd], length: u64) {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.closed) else { return };
        let mut start = start;
        let leaves = ends.iter().map(|end| {
            let line = std::mem::replace(&mut start, end.at)..end.at;
            end.leaf.map_or_else(|| hash_line(&bytes[line]), Hash::from_bytes)
        });
        writer.append_or_replay_later(leaves, length);
    }

    fn before_rename(&mut self, from: SegmentName, to: SegmentName) -> Result<(), StorageError> {
        match self.writer()? {
            Some(writer) => Ok(writer.before_rename(from, to)?),
            None => Ok(()),
        }
    }

    fn segment_removed(&mut self, segment: SegmentName) {
        if let Ok(Some(writer)) = self.writer() {
            writer.remove(segment);
        }
    }

    fn segment_compacted(&mut self, segment: SegmentName, length: u64) {
        if let Ok(Some(writer)) = self.writer() {
            writer.compacted(segment, length);
        }
    }

    fn before_erase(&mut self) -> Result<(), StorageError> {
        match self.writer()? {
            Some(writer) => Ok(writer.persist_if_changed()?),
            None => Ok(()),
        }
    }

    fn find_leaf(
        &mut self,
        segment: SegmentName,
        line: &[u8],
        position: f64,
    ) -> Result<Option<u64>, StorageError> {
        match self.writer()? {
            Some(writer) => Ok(writer.find_leaf(segment, hash_line(line), position)?),
            None => Ok(None),
        }
    }

    fn leaves_of(&mut self, segment: SegmentName) -> Result<Vec<(u64, u64)>, StorageError> {
        match self.writer()? {
            Some(writer) => Ok(writer.line_leaves(segment)?),
            None => Ok(Vec::new()),
        }
    }

    fn erased(
        &mut self,
        ranges: &[(u64, u64)],
        reason: &EraseReason,
        redo: bool,
    ) -> Result<(), StorageError> {
        match self.writer()? {
            Some(writer) => Ok(writer.record_erasure(ranges, reason, redo)?),
            None => Ok(()),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let (writer, signing) = (self.writer.as_ref()?, self.signing.as_ref()?);
        let (last, signed) = signing.last;
        match writer.size().saturating_sub(signed) {
            0 => None,
            new if new >= signing.options.every_entries => Some(last),
            // `None` after overflow: never.
            _ => last.checked_add(signing.options.every),
        }
    }

    fn on_deadline(&mut self, synced: Result<(), StorageError>) {
        let signed = match synced {
            Ok(()) => self.checkpoint(),
            Err(error) => {
                let error = error.into();
                self.checkpoint_failed(&error);
                Err(error)
            }
        };
        if let (Err(error), Some(signing)) = (signed, &mut self.signing) {
            let size = self.writer.as_ref().map_or(0, TreeWriter::size);
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
        let persisted = match self.writer()? {
            Some(writer) => writer.persist_if_changed(),
            None => Ok(()),
        };
        self.closed = true;
        self.writer = None;
        Ok(persisted?)
    }
}

fn bind(hook: Hook, result: Result<SignedCheckpoint, EvidenceError>) -> Callback {
    Box::new(move || hook(result.as_ref()))
}
