//! The Merkle tree as the observer of the log.

use std::any::Any;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use attestry_core::metrics::StorageCounters;
use attestry_core::{StorageError, Timestamp, event};
use attestry_evidence::{
    ErasureRecord, Hash, LogKey, Policy, SignedCheckpoint, SigningKey, leaf_hash,
};

use super::error::EvidenceError;
use super::intent;
use super::keys::Eraser;
use super::options::{EvidenceOptions, Hook};
use super::sign::Signer;
use super::tree_writer::TreeWriter;
use crate::fs::layout::Folder;
use crate::observer::{
    Callback, EraseReason, IntentCheck, LeafHash, LeafHasher, LineEnd, LogObserver, UnsignedLeaves,
};
use crate::segment::SegmentName;

const _: () = assert!(EraseReason::MAX_TEXT_BYTES == ErasureRecord::MAX_TEXT);

/// Programs without the key may record for so long before each of them warns: usually another one signs.
const UNSIGNED_FOR_LONG: Duration = Duration::from_secs(24 * 3_600);

/// The tree of one store, if it has one, and the schedule of its checkpoints.
#[derive(Debug)]
pub(crate) struct TreeObserver {
    folder: Folder,
    /// `Durability::Sync`: lines are on stable storage before they are reported.
    lines_are_synced: bool,
    /// `None` while the store has no tree. Another process may create one.
    writer: Option<TreeWriter>,
    signing: Option<Signing>,
    /// The key that signs erasures; that of the log if `None`.
    erasure_key: Option<SigningKey>,
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

impl Signing {
    fn signer(&self) -> Signer<'_> {
        let EvidenceOptions { key, memory, adopt_existing, .. } = &self.options;
        Signer { key, memory: memory.as_ref(), adopts: *adopt_existing }
    }
}

impl TreeObserver {
    /// Opens the tree of `folder`. Creates one if there are `options` and it is missing, unless there are
    /// lines that it may not adopt. Lines that the tree lacks are added by
    /// [`catch_up`](LogObserver::catch_up).
    pub(crate) fn open(
        folder: &Folder,
        options: Option<EvidenceOptions>,
        erasure_key: Option<SigningKey>,
        lines_are_synced: bool,
    ) -> Result<Self, StorageError> {
        let mut writer = TreeWriter::open(folder, lines_are_synced)?;
        let mut signing = options.map(|options| {
            let (last, results) = ((Instant::now(), 0), Vec::new());
            Signing { options, last, results, unsigned: None }
        });
        if let (None, Some(signing)) = (&writer, &signing) {
            let is_empty = folder.list()?.iter().all(|segment| segment.length == 0);
            if is_empty || signing.options.adopt_existing {
                if is_empty {
                    // Before the tree: one without a memory of it looks like an attacker's.
                    signing.signer().remember_beginning()?;
                }
                writer = Some(TreeWriter::create(folder, lines_are_synced)?);
            }
        }
        if let (Some(writer), Some(signing)) = (&mut writer, &mut signing) {
            let signed = writer.signed_size()?;
            signing.last.1 = signed;
            let is_regular = signing.options.every < Duration::MAX;
            let unsigned = is_regular && signed == 0 && writer.size() > 0;
            signing.unsigned = unsigned.then(|| writer.size());
        }
        let (folder, counters, closed) = (folder.clone(), Arc::default(), false);
        Ok(Self { folder, lines_are_synced, writer, signing, erasure_key, counters, closed })
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
        self.sign_with(|writer, signer| {
            writer.state_adoption(signer)?;
            writer.sign(signer)
        })
    }

    /// Lets `sign` sign a checkpoint of all lines, and return whether it is new.
    fn sign_with(
        &mut self,
        sign: impl FnOnce(
            &mut TreeWriter,
            Signer<'_>,
        ) -> Result<(SignedCheckpoint, bool), EvidenceError>,
    ) -> Result<SignedCheckpoint, EvidenceError> {
        let signed = self.sign_or_fail(sign);
        if let Err(error) = &signed {
            self.checkpoint_failed(error);
        }
        signed
    }

    fn checkpoint_failed(&self, error: &EvidenceError) {
        self.counters.checkpoint_failed(error.kind());
        event!(WARN, kind = error.kind().as_str(), "checkpoint failed");
    }

    fn sign_or_fail(
        &mut self,
        sign: impl FnOnce(
            &mut TreeWriter,
            Signer<'_>,
        ) -> Result<(SignedCheckpoint, bool), EvidenceError>,
    ) -> Result<SignedCheckpoint, EvidenceError> {
        let path = self.folder.path().to_path_buf();
        if self.signing.is_none() {
            return Err(EvidenceError::NoSigningKey { path });
        }
        self.writer()?;
        let (Some(writer), Some(signing)) = (&mut self.writer, &mut self.signing) else {
            return Err(EvidenceError::NotBegun { path });
        };
        writer.replay_all()?;
        let (checkpoint, new) = sign(writer, signing.signer())?;
        let size = writer.size();
        signing.last = (Instant::now(), size);
        if new {
            self.counters.checkpoint(Timestamp::now(), size);
            event!(INFO, size = size, "checkpoint signed");
            signing.results.push(Ok(checkpoint.clone()));
        }
        Ok(checkpoint)
    }

    /// Authorises another key to sign erasures.
    pub(crate) fn authorize_erasure_key(
        &mut self,
        key: LogKey,
    ) -> Result<SignedCheckpoint, EvidenceError> {
        self.sign_with(|writer, signer| Ok((writer.authorize_erasure_key(signer, key)?, true)))
    }

    /// Ends a key at a size.
    pub(crate) fn end_key(
        &mut self,
        key: LogKey,
        size: Option<u64>,
        why: (String, String),
    ) -> Result<SignedCheckpoint, EvidenceError> {
        self.sign_with(|writer, signer| Ok((writer.end_key(signer, key, size, why)?, true)))
    }

    /// Replaces the key of the log, also for what this process signs from now on.
    pub(crate) fn replace_key(
        &mut self,
        new: &SigningKey,
    ) -> Result<SignedCheckpoint, EvidenceError> {
        let signed = self.sign_with(|writer, signer| Ok((writer.replace_key(signer, new)?, true)));
        if let (Ok(_), Some(signing)) = (&signed, &mut self.signing) {
            signing.options.key = new.clone();
        }
        signed
    }

    /// Accepts the tree as it is.
    pub(crate) fn accept(
        &mut self,
        why: (String, String),
    ) -> Result<SignedCheckpoint, EvidenceError> {
        self.sign_with(|writer, signer| Ok((writer.accept(signer, why)?, true)))
    }

    /// The tree with the key that signs erasures now; `None` if the store keeps no evidence.
    fn eraser(&mut self) -> Result<Option<(&mut TreeWriter, Eraser)>, EvidenceError> {
        self.writer()?;
        let path = || self.folder.path().to_path_buf();
        let log = self.signing.as_ref().map(|signing| &signing.options.key);
        let Some(writer) = &mut self.writer else {
            // Evidence is wanted, and its tree is gone or was never begun.
            return if log.is_some() {
                Err(EvidenceError::NotBegun { path: path() })
            } else {
                Ok(None)
            };
        };
        let Some(key) = self.erasure_key.as_ref().or(log) else {
            return Err(EvidenceError::NoErasureKey { path: path() });
        };
        let eraser = writer.eraser(key, log)?;
        Ok(Some((writer, eraser)))
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
        let signer = self.signing.as_ref().map(Signing::signer);
        let Some(writer) = &mut self.writer else {
            let path = self.folder.path().to_path_buf();
            return signer.map(|_| EvidenceError::NotBegun { path }.to_string());
        };
        let error = writer.check_signable(signer).err()?;
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        Some(format!("{error}{}", source.unwrap_or_default()))
    }

    fn unsigned_size(&mut self) -> Option<u64> {
        self.signing.as_ref()?.unsigned
    }

    fn unsigned_leaves(&mut self, now: Timestamp) -> Result<Option<UnsignedLeaves>, StorageError> {
        let Some(writer) = self.writer.as_mut().filter(|_| self.signing.is_none()) else {
            return Ok(None);
        };
        let unsigned = writer.unsigned_leaves()?;
        let is_long = |unsigned: &UnsignedLeaves| {
            unsigned.since.checked_add(UNSIGNED_FOR_LONG).is_none_or(|until| until < now)
        };
        Ok(unsigned.filter(|unsigned| unsigned.leaves > 0 && is_long(unsigned)))
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
        match self.eraser()? {
            Some((writer, _)) => Ok(writer.persist_if_changed()?),
            None => Ok(()),
        }
    }

    fn sign_intent(&mut self, sha256: &str) -> Result<Option<String>, StorageError> {
        let Some((_, eraser)) = self.eraser()? else { return Ok(None) };
        Ok(Some(intent::sign(sha256, &eraser)?))
    }

    fn check_intent(
        &mut self,
        sha256: &str,
        signature: Option<&str>,
    ) -> Result<IntentCheck, StorageError> {
        let path = self.folder.intent_log();
        let Some((writer, eraser)) = self.eraser()? else { return Ok(IntentCheck::Authentic) };
        let size = writer.size();
        let log = self.signing.as_ref().map(|signing| signing.options.key.clone());
        let Some(writer) = &mut self.writer else { return Ok(IntentCheck::Authentic) };
        let keys = log.map(|log| writer.log_keys(&log)).transpose()?;
        Ok(intent::check(&path, (sha256, signature), &eraser, keys.map(|keys| (keys, size)))?)
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
        match self.eraser()? {
            Some((writer, eraser)) => Ok(writer.record_erasure(ranges, reason, &eraser, redo)?),
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
