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
    /// Number of the input that the lines are of.
    input: usize,
    last_id: EntryId,
    first_line: u64,
    last_line: u64,
    entries: u64,
}

/// Entries that are not in the store any more.
#[derive(Default)]
pub(super) struct Missing {
    pub(super) entries: u64,
    /// Inputs with ranges of line numbers, both ends inclusive.
    pub(super) lines: Vec<(usize, u64, u64)>,
}

impl Acknowledged {
    /// Adds a batch of the input number `input` whose last entry has the id `last_id`, with its first and last line.
    pub(super) fn add(&mut self, input: usize, last_id: EntryId, lines: (u64, u64), entries: u64) {
        if self.0.len() == MAX_SAMPLES {
            let mut samples = std::mem::take(&mut self.0).into_iter();
            while let Some(first) = samples.next() {
                self.0.push(match samples.next() {
                    // The lines of the second input stand for those of the first, if they differ.
                    Some(second) => Sample {
                        first_line: if first.input == second.input { first.first_line } else { 1 },
                        entries: first.entries + second.entries,
                        ..second
                    },
                    None => first,
                });
            }
        }
        let (first_line, last_line) = lines;
        self.0.push(Sample { input, last_id, first_line, last_line, entries });
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
                Some((input, _, last))
                    if *input == sample.input && *last + 1 >= sample.first_line =>
                {
                    *last = sample.last_line;
                }
                _ => missing.lines.push((sample.input, sample.first_line, sample.last_line)),
            }
        }
        Ok(missing)
    }
}
