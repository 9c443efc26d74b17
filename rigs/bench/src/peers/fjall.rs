//! fjall: an LSM tree with a journal, synced per batch.

use std::path::Path;

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Peer, Record};
use crate::Result;

/// See the module.
pub(crate) struct Fjall {
    database: Database,
    lines: Keyspace,
}

impl Peer for Fjall {
    const NAME: &'static str = "fjall";

    fn create(path: &Path) -> Result<Self> {
        let database = Database::builder(path).open()?;
        let lines = database.keyspace("lines", KeyspaceCreateOptions::default)?;
        Ok(Self { database, lines })
    }

    fn store(&mut self, records: &[Record]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (id, line) in records {
            batch.insert(&self.lines, id.as_str(), line.as_slice());
        }
        Ok(batch.commit()?)
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.lines.len()? as u64)
    }
}
