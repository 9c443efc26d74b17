//! redb: a copy-on-write B-tree in one file; commits sync by default.

use std::path::Path;

use ::redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, TableDefinition,
};

use super::{Peer, Record};
use crate::Result;

const LINES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("lines");

/// See the module.
pub(crate) struct Redb(Database);

impl Peer for Redb {
    const NAME: &'static str = "redb";

    fn create(path: &Path) -> Result<Self> {
        Ok(Self(Database::create(path)?))
    }

    fn store(&mut self, records: &[Record]) -> Result<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut table = transaction.open_table(LINES)?;
            for (id, line) in records {
                table.insert(id.as_str(), line.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.table()?.len()?)
    }
}

impl Redb {
    /// The current table.
    pub(crate) fn table(&self) -> Result<ReadOnlyTable<&'static str, &'static [u8]>> {
        Ok(self.0.begin_read()?.open_table(LINES)?)
    }
}
