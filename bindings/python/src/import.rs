//! Storing the calls in records of another format.

use attestry::{AuditEntry, AuditError, AuditLogger, ErrorChain, Interaction, StorageError};

use crate::failure::Failure;

/// What cannot be stored.
#[derive(Default)]
struct Refused {
    number: u64,
    /// Of the first.
    reason: String,
}

impl Refused {
    fn add(&mut self, error: &AuditError) {
        if self.number == 0 {
            self.reason = ErrorChain(error).to_string();
        }
        self.number += 1;
    }
}

/// Stores these calls; returns how many were stored, and how many were there already. If some are invalid, the others
/// are stored before it fails.
pub(crate) async fn store(
    logger: &AuditLogger,
    interactions: Vec<Interaction<'static>>,
) -> Result<(usize, usize), Failure> {
    let records = interactions.len();
    let mut refused = Refused::default();
    let mut entries = Vec::with_capacity(records);
    for interaction in interactions {
        match logger.prepare(interaction) {
            Ok(entry) => entries.push(entry),
            Err(error @ AuditError::Storage(StorageError::InvalidEntry(_))) => refused.add(&error),
            Err(error) => return Err(error.into()),
        }
    }
    let stored = write(logger, &entries, &mut refused).await?;
    if refused.number > 0 {
        let Refused { number, reason } = refused;
        return Err(Failure::Refused { refused: number, records, reason });
    }
    let new = stored.iter().filter(|stored| **stored).count();
    Ok((new, stored.len() - new))
}

async fn write(
    logger: &AuditLogger,
    entries: &[AuditEntry],
    refused: &mut Refused,
) -> Result<Vec<bool>, Failure> {
    match logger.storage().write_new(entries).await {
        // One of them is too large for this store, and nothing is stored.
        Err(StorageError::InvalidEntry(_)) => {}
        written => return Ok(written?),
    }
    let mut stored = Vec::with_capacity(entries.len());
    for entry in entries {
        match logger.storage().write_new(std::slice::from_ref(entry)).await {
            Err(error @ StorageError::InvalidEntry(_)) => refused.add(&error.into()),
            written => stored.extend(written?),
        }
    }
    Ok(stored)
}
