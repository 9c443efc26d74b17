//! Signs checkpoints of the tree. A checkpoint that contradicts an earlier one is never signed.

use attestry_evidence::{Checkpoint, Hash, LogKeys, Policy, SignedCheckpoint, SigningKey, Tree};

use super::checkpoints::parse_unverified;
use super::error::{EvidenceError, Result};
use super::memory::{Remembered, SignerMemory};
use super::tree_writer::TreeWriter;
use crate::observer::UnsignedLeaves;

/// The key of a log, and what it has signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) key: &'a SigningKey,
    pub(super) memory: Option<&'a SignerMemory>,
    /// Whether a tree without any checkpoint may be signed.
    pub(super) adopts: bool,
}

impl Signer<'_> {
    /// Remembers that the key begins an empty tree, unless it has signed a checkpoint before.
    pub(super) fn remember_beginning(self) -> Result<()> {
        let Some(memory) = self.memory else { return Ok(()) };
        let mut remembered = memory.lock()?;
        if remembered.last(self.key)?.is_some() {
            return Ok(());
        }
        remembered.remember(self.key, &self.key.sign(0, Hash::EMPTY_TREE))
    }
}

impl TreeWriter {
    /// Number of leaves of the latest checkpoint; 0 if there is none.
    pub(super) fn signed_size(&mut self) -> Result<u64> {
        let latest = self.latest_checkpoint()?;
        Ok(latest.and_then(|note| parse_unverified(&note)).map_or(0, |latest| latest.size()))
    }

    /// The leaves that no checkpoint covers, and since when; `None` if that is not known.
    pub(super) fn unsigned_leaves(&mut self) -> Result<Option<UnsignedLeaves>> {
        let leaves = self.head.size.saturating_sub(self.signed_size()?);
        let signed = self.checkpoints.latest_time()?;
        let since = signed.or_else(|| self.map.backfill().map(|(_, at)| at));
        Ok(since.map(|since| UnsignedLeaves { leaves, since }))
    }

    fn latest_checkpoint(&mut self) -> Result<Option<String>> {
        Ok(self.checkpoints.latest()?.map(str::to_owned))
    }

    /// Root of the first `size` leaves.
    fn root_at(&mut self, size: u64) -> Result<Hash> {
        let restored = Tree::restore(size, &mut self.tiles);
        Ok(restored.map_err(|error| EvidenceError::tree(&self.path, error))?.root())
    }

    /// Fails unless the tree of `checkpoint` is a prefix of this one.
    fn check(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let size = checkpoint.size();
        if size > self.head.size {
            return Err(EvidenceError::Disagrees { size });
        }
        let root = self.root_at(size);
        if root.as_ref().ok() == Some(&checkpoint.root()) {
            return Ok(());
        }
        // The upper levels may be damaged. They follow from the leaves.
        self.rebuild_levels()?;
        if self.root_at(size)? != checkpoint.root() {
            return Err(EvidenceError::Disagrees { size });
        }
        Ok(())
    }

    /// Fails if the last checkpoint of a stored file has the origin of `key` and is of another tree: two
    /// stores with one key were merged.
    fn check_stored(&mut self, key: &SigningKey) -> Result<()> {
        for (path, note) in self.checkpoints.take_unchecked()? {
            let Some(checkpoint) = parse_unverified(&note) else { continue };
            if checkpoint.origin() != key.name() {
                continue;
            }
            match self.check(&checkpoint) {
                Ok(()) => self.checkpoints.set_checked(path),
                Err(EvidenceError::Disagrees { size }) => {
                    let (tree, leaves) = (self.path.clone(), self.head.size);
                    return Err(EvidenceError::OtherTree { checkpoint: path, size, tree, leaves });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The latest checkpoint, after checking that its tree is a prefix of this one. If it has the origin
    /// of `keys`, it must be signed with one of them.
    fn check_latest(
        &mut self,
        keys: Option<&LogKeys>,
    ) -> Result<Option<(SignedCheckpoint, Checkpoint)>> {
        let Some(note) = self.latest_checkpoint()? else { return Ok(None) };
        let path = self.checkpoints.folder();
        let malformed = || EvidenceError::damaged(path, "the latest note is not a checkpoint");
        let checkpoint = parse_unverified(&note).ok_or_else(malformed)?;
        let note: SignedCheckpoint = note.parse().map_err(|_| malformed())?;
        let of_log = keys.filter(|keys| keys.origin() == checkpoint.origin());
        if let Some(policy) = of_log.cloned().and_then(Policy::with_keys) {
            policy.open(&note)?;
        }
        self.check(&checkpoint)?;
        Ok(Some((note, checkpoint)))
    }

    /// Fails if the latest checkpoint does not match the tree, or the key does not sign the log any more.
    pub(super) fn check_own_checkpoint(&mut self, key: &SigningKey) -> Result<()> {
        let keys = self.log_keys(key)?;
        self.check_latest(Some(&keys))?;
        self.check_in_force(key, &keys)
    }

    /// Why nothing can be signed, without signing. Without a signer, only the latest checkpoint is
    /// compared.
    pub(super) fn check_signable(&mut self, signer: Option<Signer<'_>>) -> Result<()> {
        let Some(signer) = signer else { return self.check_latest(None).map(drop) };
        let keys = self.log_keys(signer.key)?;
        let remembered = signer.memory.map(SignerMemory::lock).transpose()?;
        self.check_history(signer, &keys, remembered.as_ref()).map(drop)
    }

    /// Fails if the tree is not what was signed before, or the key or a new record is not authentic.
    /// Returns the latest checkpoint of the log.
    fn check_history(
        &mut self,
        signer: Signer<'_>,
        keys: &LogKeys,
        remembered: Option<&Remembered>,
    ) -> Result<Option<(SignedCheckpoint, Checkpoint)>> {
        let latest = self.check_latest(Some(keys))?;
        let latest = latest.filter(|(_, latest)| latest.origin() == keys.origin());
        self.check_in_force(signer.key, keys)?;
        let mut signed_size = latest.as_ref().map_or(0, |(_, latest)| latest.size());
        if let Some(remembered) = remembered {
            let size = self.check_remembered(signer, remembered, latest.is_some())?;
            signed_size = signed_size.max(size);
        }
        self.check_new_records(keys, signed_size)?;
        Ok(latest)
    }

    fn check_in_force(&self, key: &SigningKey, keys: &LogKeys) -> Result<()> {
        let size = self.head.size;
        if keys.signs(&key.public(), size) {
            return Ok(());
        }
        Err(EvidenceError::KeyNotInForce { key: key.public().to_string(), size })
    }

    /// Fails unless the tree extends the last checkpoint that was signed with the key. `is_signed`: the
    /// store has a checkpoint of the log, which is how the memory of a moved store begins. Returns the size
    /// of the last checkpoint.
    fn check_remembered(
        &mut self,
        signer: Signer<'_>,
        remembered: &Remembered,
        is_signed: bool,
    ) -> Result<u64> {
        let size = self.head.size;
        let memory = remembered.path().to_path_buf();
        let Some(last) = remembered.last(signer.key)? else {
            if is_signed || signer.adopts || size == 0 {
                return Ok(0);
            }
            return Err(EvidenceError::NotRemembered { size, memory });
        };
        let last = last.checkpoint();
        match self.check(last) {
            Err(EvidenceError::Disagrees { .. }) => Err(EvidenceError::NotAnExtension {
                remembered_size: last.size(),
                remembered_root: last.root(),
                size,
                root: if last.size() <= size { Some(self.root_at(last.size())?) } else { None },
                memory,
            }),
            checked => checked.map(|()| last.size()),
        }
    }

    /// Persists the head and signs it. Returns the checkpoint, and whether it is new: the latest one is
    /// returned if the tree has not grown since.
    pub(super) fn sign(&mut self, signer: Signer<'_>) -> Result<(SignedCheckpoint, bool)> {
        self.persist_if_changed()?;
        let keys = self.log_keys(signer.key)?;
        // Locked until the checkpoint is stored: no other process signs meanwhile.
        let mut remembered = signer.memory.map(SignerMemory::lock).transpose()?;
        let latest = self.check_history(signer, &keys, remembered.as_ref())?;
        if let Some((note, latest)) = latest
            && latest.size() == self.head.size
        {
            if let Some(remembered) = &mut remembered
                && Policy::new(signer.key.public()).open(&note).is_ok()
            {
                remembered.remember(signer.key, &note)?;
            }
            return Ok((note, false));
        }
        self.check_stored(signer.key)?;
        Ok((self.sign_unchecked(signer.key, remembered.as_mut())?, true))
    }

    /// Signs the head. The memory is durable before the checkpoint is stored.
    pub(super) fn sign_unchecked(
        &mut self,
        key: &SigningKey,
        remembered: Option<&mut Remembered>,
    ) -> Result<SignedCheckpoint> {
        let note = key.sign(self.head.size, self.tree.root());
        if let Some(remembered) = remembered {
            remembered.remember(key, &note)?;
        }
        self.checkpoints.append(note.as_str())?;
        Ok(note)
    }

    /// Stores a cosigned checkpoint that satisfies `policy` and whose tree is a prefix of this one.
    pub(super) fn store_cosigned(
        &mut self,
        note: &SignedCheckpoint,
        policy: &Policy,
    ) -> Result<()> {
        let opened = policy.open(note)?;
        self.check(opened.checkpoint())?;
        self.checkpoints.append_cosigned(note.as_str())
    }
}
