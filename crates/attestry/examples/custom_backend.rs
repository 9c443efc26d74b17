//! A custom storage backend in five methods: `cargo run --example custom_backend`.
//!
//! Test yours with `attestry-conformance`; this one passes.
#![allow(clippy::print_stdout)] // an example prints

use std::sync::{Mutex, PoisonError};

use attestry::backend::async_trait;
use attestry::{
    AuditEntry, AuditLogger, EntryId, Interaction, Query, StorageBackend, StorageError, Timestamp,
};

/// Stores entries in a list. Replace the list with your database.
#[derive(Debug, Default)]
struct Notebook(Mutex<Vec<AuditEntry>>);

impl Notebook {
    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<AuditEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StorageBackend for Notebook {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        entry.validate()?;
        let mut entries = self.entries();
        match entries.iter().find(|stored| stored.id == entry.id) {
            Some(stored) if stored == entry => {} // a retry
            Some(_) => return Err(StorageError::already_exists(entry.id.clone())),
            None => entries.push(entry.clone()),
        }
        Ok(entry.id.clone())
    }

    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        Ok(self.entries().iter().find(|entry| entry.id == *id).cloned())
    }

    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        let range = Query::range(start, end);
        range.validate()?;
        let mut found = self.entries().clone();
        found.retain(|entry| range.matches(entry));
        found.sort_by_key(|entry| entry.timestamp); // stable: ties keep the order of writing
        Ok(found)
    }

    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        let mut entries = self.entries();
        let before = entries.len();
        entries.retain(|entry| entry.id != *id);
        Ok(entries.len() < before)
    }

    async fn count(&self) -> Result<u64, StorageError> {
        Ok(self.entries().len() as u64)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = AuditLogger::builder(Notebook::default()).build();
    log.log(Interaction::new("Which backend is this?", "Mine.")).await?;
    println!("{} entry recorded", log.count().await?);
    Ok(())
}
