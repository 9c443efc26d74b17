//! Signs checkpoints of the tree. A checkpoint that contradicts an earlier one is never signed.

use attestry_evidence::{Checkpoint, Hash, Policy, SignedCheckpoint, SigningKey, Tree};

use super::checkpoints::parse_unverified;
use super::error::{EvidenceError, Result};
use super::tree_writer::TreeWriter;

impl TreeWriter {
    /// Number of leaves of the latest checkpoint; 0 if there is none.
    pub(super) fn signed_size(&mut self) -> Result<u64> {
        let latest = self.latest_checkpoint()?;
        Ok(latest.and_then(|note| parse_unverified(&note)).map_or(0, |latest| latest.size()))
    }

    fn latest_checkpoint(&mut self) -> Result<Option<String>> {
        let folder = self.checkpoints.folder().to_path_buf();
        let latest = self.checkpoints.latest();
        let latest = latest.map_err(|source| EvidenceError::io("read", &folder, source))?;
        Ok(latest.map(str::to_owned))
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
        let folder = self.checkpoints.folder().to_path_buf();
        let unchecked = self.checkpoints.take_unchecked();
        let unchecked = unchecked.map_err(|source| EvidenceError::io("read", &folder, source))?;
        for (path, note) in unchecked {
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

    /// The latest checkpoint, after checking that its tree is a prefix of this one. If it has the
    /// origin of `key`, it must be signed with it.
    pub(super) fn check_latest(
        &mut self,
        key: Option<&SigningKey>,
    ) -> Result<Option<(SignedCheckpoint, Checkpoint)>> {
        let Some(note) = self.latest_checkpoint()? else { return Ok(None) };
        let path = self.checkpoints.folder();
        let malformed = || EvidenceError::damaged(path, "the latest note is not a checkpoint");
        let checkpoint = parse_unverified(&note).ok_or_else(malformed)?;
        let note: SignedCheckpoint = note.parse().map_err(|_| malformed())?;
        if let Some(key) = key.filter(|key| key.name() == checkpoint.origin()) {
            Policy::new(key.public()).open(&note)?;
        }
        self.check(&checkpoint)?;
        Ok(Some((note, checkpoint)))
    }

    /// Persists the head and signs it. Returns the checkpoint, and whether it is new: the latest one is
    /// returned if the tree has not grown since.
    pub(super) fn sign(&mut self, key: &SigningKey) -> Result<(SignedCheckpoint, bool)> {
        self.persist_if_changed()?;
        if let Some((note, latest)) = self.check_latest(Some(key))?
            && latest.size() == self.head.size
            && latest.origin() == key.name()
        {
            return Ok((note, false));
        }
        self.check_stored(key)?;
        let note = key.sign(self.head.size, self.tree.root());
        let written = self.checkpoints.append(note.as_str());
        written.map_err(|source| self.cannot_write(source))?;
        Ok((note, true))
    }

    /// Stores a cosigned checkpoint that satisfies `policy` and whose tree is a prefix of this one.
    pub(super) fn store_cosigned(
        &mut self,
        note: &SignedCheckpoint,
        policy: &Policy,
    ) -> Result<()> {
        let opened = policy.open(note)?;
        self.check(opened.checkpoint())?;
        let written = self.checkpoints.append_cosigned(note.as_str());
        written.map_err(|source| self.cannot_write(source))
    }

    fn cannot_write(&self, source: std::io::Error) -> EvidenceError {
        EvidenceError::io("write a checkpoint to", self.checkpoints.folder(), source)
    }
}
