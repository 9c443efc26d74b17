//! SQLite with WAL and `synchronous=FULL`: each transaction is synced.

use std::path::Path;
use std::time::{Duration, Instant};

use attestry::{AuditEntry, Timestamp, line};
use rusqlite::{Connection, params};

use super::{Peer, Record};
use crate::Result;
use crate::workload::Workload;

/// See the module.
pub(crate) struct Sqlite(Connection);

impl Peer for Sqlite {
    const NAME: &'static str = "SQLite";

    fn create(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self(open(path, "CREATE TABLE lines (id TEXT PRIMARY KEY, line BLOB NOT NULL)")?))
    }

    fn store(&mut self, records: &[Record]) -> Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO lines (id, line) VALUES (?1, ?2)")?;
            for (id, line) in records {
                insert.execute(params![id, line])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn count(&mut self) -> Result<u64> {
        count(&self.0)
    }
}

/// Opens a new database in the folder `path` with this table.
fn open(path: &Path, schema: &str) -> Result<Connection> {
    let connection = Connection::open(path.join("lines.db"))?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(format!("SQLite's journal is {mode}, not a WAL").into());
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(schema)?;
    Ok(connection)
}

fn count(connection: &Connection) -> Result<u64> {
    let count: i64 = connection.query_row("SELECT count(*) FROM lines", [], |row| row.get(0))?;
    Ok(u64::try_from(count)?)
}

/// Lines with an index on the user and one on the conversation.
pub(crate) struct Searched(Connection);

impl Searched {
    /// A database of entries, each with its user. The indexes are made afterwards, which is faster.
    pub(crate) fn create(
        path: &Path,
        entries: impl Iterator<Item = Result<(String, AuditEntry)>>,
    ) -> Result<Self> {
        const SCHEMA: &str =
            "CREATE TABLE lines (id INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL,
            conversation TEXT NOT NULL, user TEXT NOT NULL, line BLOB NOT NULL)";
        const INDEXES: &str = "
            CREATE INDEX lines_user ON lines (user, timestamp);
            CREATE INDEX lines_conversation ON lines (conversation, timestamp);
            PRAGMA wal_checkpoint(TRUNCATE);";
        const INSERT: &str =
            "INSERT INTO lines (timestamp, conversation, user, line) VALUES (?1, ?2, ?3, ?4)";
        std::fs::create_dir_all(path)?;
        let mut connection = open(path, SCHEMA)?;
        connection.pragma_update(None, "synchronous", "OFF")?; // only the queries are measured
        let mut entries = entries.peekable();
        while entries.peek().is_some() {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached(INSERT)?;
                for entry in entries.by_ref().take(100_000) {
                    let (user, entry) = entry?;
                    let (micros, line) = (entry.timestamp.unix_micros(), line::encode(&entry)?);
                    insert.execute(params![micros, entry.conversation_id, user, line])?;
                }
            }
            transaction.commit()?;
        }
        connection.execute_batch(INDEXES)?;
        Ok(Self(connection))
    }

    /// The entries of a user, oldest first.
    pub(crate) fn by_user(&mut self, user: &str) -> Result<Vec<AuditEntry>> {
        self.select("SELECT line FROM lines WHERE user = ?1 ORDER BY timestamp", user)
    }

    /// The entries of a conversation, oldest first.
    pub(crate) fn by_conversation(&mut self, conversation: &str) -> Result<Vec<AuditEntry>> {
        const SELECT: &str = "SELECT line FROM lines WHERE conversation = ?1 ORDER BY timestamp";
        self.select(SELECT, conversation)
    }

    fn select(&mut self, select: &str, value: &str) -> Result<Vec<AuditEntry>> {
        let mut statement = self.0.prepare_cached(select)?;
        let mut rows = statement.query(params![value])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(line::decode(row.get_ref(0)?.as_blob()?)?);
        }
        Ok(found)
    }
}

/// The time to `DELETE` the older half of `entries`, and their number. The time column has an index, as in a program that
/// deletes by time.
pub(crate) fn delete_half(
    path: &Path,
    workload: &Workload,
    entries: u64,
) -> Result<(Duration, u64)> {
    const SCHEMA: &str = "
        CREATE TABLE lines (id TEXT PRIMARY KEY, timestamp INTEGER NOT NULL, line BLOB NOT NULL);
        CREATE INDEX lines_timestamp ON lines (timestamp);";
    std::fs::create_dir_all(path)?;
    let mut connection = open(path, SCHEMA)?;
    for first in (0..entries).step_by(100_000) {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO lines (id, timestamp, line) VALUES (?1, ?2, ?3)")?;
            for number in first..(first + 100_000).min(entries) {
                let micros = i64::try_from(number)?;
                let entry = workload.stored(number, Timestamp::from_unix_micros(micros)?)?;
                insert.execute(params![entry.id.as_str(), micros, line::encode(&entry)?])?;
            }
        }
        transaction.commit()?;
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    let start = Instant::now();
    let deleted = connection
        .execute("DELETE FROM lines WHERE timestamp < ?1", params![i64::try_from(entries / 2)?])?;
    let took = start.elapsed();
    let left = count(&connection)?;
    if left + deleted as u64 != entries || deleted as u64 != entries / 2 {
        return Err(format!("SQLite deleted {deleted} of {entries} and has {left}").into());
    }
    drop(connection);
    crate::remove(path)?;
    Ok((took, deleted as u64))
}
