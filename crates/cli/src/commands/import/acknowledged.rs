//! Asks the store at the end whether the acknowledged entries are still there: another program may have
//! removed a file of the store meanwhile.

use attestry::{AuditLogger, EntryId};

use crate::errors::Failure;

/// Bounds the memory: beyond it, neighbours are merged.
const MAX_SAMPLES: usize = 4096;

/// The last entry of each batch, which stands for the batch.
#[derive(Default)]
pub(super) struct Acknowledged(Vec<Sample>);

struct Sample {
    last_id: EntryId,
    first_line: u64,
    last_line: u64,
    entries: u64,
}

/// Entries that are not in the store any more.
#[derive(Default)]
pub(super) struct Missing {
    pub(super) entries: u64,
    /// Ranges of line numbers, both ends inclusive.
    pub(super) lines: Vec<(u64, u64)>,
}

impl Acknowledged {
    /// Adds a batch whose last entry has the id `last_id`.
    pub(super) fn add(&mut self, last_id: EntryId, first_line: u64, last_line: u64, entries: u64) {
        if self.0.len() == MAX_SAMPLES {
            let mut samples = std::mem::take(&mut self.0).into_iter();
            while let Some(first) = samples.next() {
                self.0.push(match samples.next() {
                    Some(second) => Sample {
                        first_line: first.first_line,
                        entries: first.entries + second.entries,
                        ..second
                    },
                    None => first,
                });
            }
        }
        self.0.push(Sample { last_id, first_line, last_line, entries });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The batches whose last entry is gone.
    pub(super) async fn missing(&self, logger: &AuditLogger) -> Result<Missing, Failure> {
        let mut missing = Missing::default();
        for sample in &self.0 {
            if logger.storage().read(&sample.last_id).await?.is_some() {
                continue;
            }
            missing.entries += sample.entries;
            match missing.lines.last_mut() {
                Some(last) if last.1 + 1 >= sample.first_line => last.1 = sample.last_line,
                _ => missing.lines.push((sample.first_line, sample.last_line)),
            }
        }
        Ok(missing)
    }
}
