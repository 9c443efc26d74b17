//! Statements of the log's owner about the tree: signed records that are no erasures.

use attestry_core::Timestamp;
use attestry_evidence::{Hash, LogKey, SignedCheckpoint, SigningKey, Statement};

use super::error::{EvidenceError, Result};
use super::memory::SignerMemory;
use super::sign::Signer;
use super::tree_writer::TreeWriter;

impl TreeWriter {
    /// States that the tree began with lines that existed before, unless it does so already.
    pub(super) fn state_adoption(&mut self, signer: Signer<'_>) -> Result<()> {
        let Some((leaves @ 1.., at)) = self.map.backfill() else { return Ok(()) };
        let records = self.records.others(self.head.records_len)?;
        let is_adoption = |statement: &Statement| matches!(statement, Statement::Adopted { .. });
        let origin = signer.key.name();
        let mut of_log = records.iter().filter(|(_, record)| record.origin() == origin);
        if of_log.any(|(_, record)| is_adoption(record.statement())) {
            return Ok(());
        }
        self.check_signable(Some(signer))?;
        self.append_statement(origin, &Statement::Adopted { leaves, at }, &[signer.key])
    }

    /// Authorises `erasure_key` to sign erasures, and signs a checkpoint of that.
    pub(super) fn authorize_erasure_key(
        &mut self,
        signer: Signer<'_>,
        erasure_key: LogKey,
    ) -> Result<SignedCheckpoint> {
        let statement = Statement::ErasureKey { key: erasure_key, at: Timestamp::now() };
        self.state(signer, &statement)
    }

    /// Ends `key` at `size` leaves, the present size if `None`.
    pub(super) fn end_key(
        &mut self,
        signer: Signer<'_>,
        key: LogKey,
        size: Option<u64>,
        (reason, by): (String, String),
    ) -> Result<SignedCheckpoint> {
        let (size, at) = (size.unwrap_or(self.head.size), Timestamp::now());
        self.state(signer, &Statement::KeyEnded { key, size, at, by, reason })
    }

    /// Replaces the key of the log by `new`, and signs a checkpoint with that.
    pub(super) fn replace_key(
        &mut self,
        signer: Signer<'_>,
        new: &SigningKey,
    ) -> Result<SignedCheckpoint> {
        let origin = signer.key.name();
        if new.name() != origin {
            let (expected, found) = (origin.to_owned(), new.name().to_owned());
            return Err(EvidenceError::OtherOrigin { expected, found });
        }
        self.sign(signer)?;
        let (old, at) = (signer.key.public(), Timestamp::now());
        let statement = Statement::NewKey { old, new: new.public(), at };
        self.append_statement(origin, &statement, &[signer.key, new])?;
        Ok(self.sign(Signer { key: new, ..signer })?.0)
    }

    /// Puts on record that the tree contradicts what the signer remembers, or has records that are not
    /// authentic, and signs it all the same. Stored checkpoints must match.
    pub(super) fn accept(
        &mut self,
        signer: Signer<'_>,
        (reason, by): (String, String),
    ) -> Result<SignedCheckpoint> {
        self.check_own_checkpoint(signer.key)?;
        let mut remembered = signer.memory.map(SignerMemory::lock).transpose()?;
        let last = match &remembered {
            Some(remembered) => remembered.last(signer.key)?,
            None => None,
        };
        let (size, root) = last.map_or((0, Hash::EMPTY_TREE), |last| {
            (last.checkpoint().size(), last.checkpoint().root())
        });
        let statement = Statement::Accepted { size, root, at: Timestamp::now(), by, reason };
        self.append_statement(signer.key.name(), &statement, &[signer.key])?;
        self.sign_unchecked(signer.key, remembered.as_mut())
    }

    /// Appends a statement. A checkpoint is signed before, so that no statement is made about a tree that
    /// cannot be signed, and after.
    fn state(&mut self, signer: Signer<'_>, statement: &Statement) -> Result<SignedCheckpoint> {
        self.sign(signer)?;
        self.append_statement(signer.key.name(), statement, &[signer.key])?;
        Ok(self.sign(signer)?.0)
    }
}
