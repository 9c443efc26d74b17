//! Which keys may sign checkpoints and erasures of a tree.

use attestry_evidence::{LogKey, LogKeys, Record, SignedRecord, SigningKey, Statement};

use super::error::{EvidenceError, Result};
use super::tree_writer::TreeWriter;

/// A key that may sign erasure records.
#[derive(Debug)]
pub(super) struct Eraser {
    pub(super) origin: String,
    pub(super) key: SigningKey,
}

impl TreeWriter {
    /// The keys of the log that `key` signs, according to the records of the tree.
    pub(super) fn log_keys(&mut self, key: &SigningKey) -> Result<LogKeys> {
        let mut keys = LogKeys::new(key.public());
        let records = self.records.others(self.head.records_len)?;
        keys.follow(records.iter().map(|(leaf, record)| (*leaf, record)));
        Ok(keys)
    }

    /// `key` as a key that may sign erasures now: the key of the log, or one that it has authorised.
    /// `log` is the key of the log, if this process has it.
    pub(super) fn eraser(&mut self, key: &SigningKey, log: Option<&SigningKey>) -> Result<Eraser> {
        let origin = match log {
            Some(log) => {
                let keys = self.log_keys(log)?;
                let may = keys.erases(&key.public(), self.head.size);
                may.then(|| keys.origin().to_owned())
            }
            None => self.authorised_by(&key.public())?,
        };
        match origin {
            Some(origin) => Ok(Eraser { origin, key: key.clone() }),
            None => Err(EvidenceError::NotAnErasureKey {
                path: self.folder.path().to_path_buf(),
                key: key.public().to_string(),
            }),
        }
    }

    /// The origin of the log that has authorised `key` to sign erasures. Without the key of the log, the
    /// record of that is not verified: it is for those that verify the tree.
    fn authorised_by(&mut self, key: &LogKey) -> Result<Option<String>> {
        let mut origin = None;
        for (_, record) in self.records.others(self.head.records_len)? {
            match record.statement() {
                Statement::ErasureKey { key: authorised, .. } if authorised == key => {
                    origin = Some(record.origin().to_owned());
                }
                Statement::KeyEnded { key: ended, .. } if ended == key => origin = None,
                _ => {}
            }
        }
        Ok(origin)
    }

    /// Fails unless every record that no checkpoint covers yet is authentic: the checkpoint to be signed
    /// would vouch for it. `signed_size` is the size of the latest checkpoint.
    pub(super) fn check_new_records(&mut self, keys: &LogKeys, signed_size: u64) -> Result<()> {
        let valid_len = self.head.records_len;
        if self.records_checked > valid_len {
            self.records_checked = 0;
        }
        for (leaf, record) in self.records.since(self.records_checked, valid_len)? {
            if leaf < signed_size {
                continue;
            }
            match record {
                Record::Signed(record) => {
                    keys.check(leaf, &record)
                        .map_err(|source| EvidenceError::ForgedRecord { leaf, source })?;
                }
                _ => return Err(EvidenceError::UnsignedRecord { leaf }),
            }
        }
        self.records_checked = valid_len;
        Ok(())
    }

    /// Appends a statement, signed with `keys`, as a leaf, and persists the head.
    pub(super) fn append_statement(
        &mut self,
        origin: &str,
        statement: &Statement,
        keys: &[&SigningKey],
    ) -> Result<()> {
        let record = SignedRecord::sign(origin, statement, keys)?;
        self.append_records(&[record.into()])?;
        self.persist()
    }
}
