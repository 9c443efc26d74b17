//! `attestry check --against FILE`: finds interactions of a file that are not recorded.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use attestry::{AuditEntry, hash_content};

use super::problems::{Problem, Problems};
use crate::commands;
use crate::errors::Failure;
use crate::input::Input;
use crate::output::Stdout;
use crate::pipeline;

/// The interactions of a file, identified by a hash of their two content hashes, with the number of
/// entries found for each. Takes 20 bytes of memory per interaction.
pub(super) struct Expected {
    file: String,
    /// Hash and line number, sorted. A repeated interaction has several items with one hash.
    lines: Vec<(u64, u64)>,
    /// Number of entries found, at the index of the first item with their hash.
    found: Vec<u32>,
    hasher: Arc<RandomState>,
    keyed: u64,
}

/// Result of the comparison.
pub(super) struct Comparison {
    pub(super) file: String,
    pub(super) interactions: u64,
    pub(super) missing: u64,
    /// Number of entries with keyed hashes, which cannot be compared without the hash key.
    pub(super) keyed: u64,
    /// Number of entries that are on record as erased, if the store keeps records. The records have
    /// hashes of whole lines only, so which of the missing ones these are is unknown.
    pub(super) erased: Option<u64>,
}

/// A line number, and the hash of the line or the reason why it is bad.
type Line = (u64, Result<u64, String>);

impl Expected {
    /// Reads `input`. Bad lines are problems.
    pub(super) async fn read(
        input: Input,
        problems: &mut Problems,
        out: &mut Stdout,
    ) -> Result<Self, Failure> {
        let file = input.name.clone();
        let hasher = Arc::new(RandomState::new());
        let line_hasher = Arc::clone(&hasher);
        let mut chunks = pipeline::process(input, move |chunk| -> Vec<Line> {
            let hash = |line: &[u8]| {
                let interaction = commands::interaction(line)?;
                let input = hash_content(interaction.input());
                Ok(line_hasher.hash_one((input, hash_content(interaction.output()))))
            };
            let lines = chunk.lines();
            lines.map(|(n, line)| (n, line.map_err(commands::too_long).and_then(hash))).collect()
        })?;
        let mut lines = Vec::new();
        while let Some(chunk) = chunks.next().await {
            for (number, line) in chunk?.output {
                match line {
                    Ok(hash) => lines.push((hash, number)),
                    Err(reason) => {
                        let location = format!("{file}:{number}");
                        problems.add(Problem { kind: "bad line", location, reason }, out)?;
                    }
                }
            }
        }
        lines.sort_unstable();
        let found = vec![0; lines.len()];
        Ok(Self { file, lines, found, hasher, keyed: 0 })
    }

    /// Counts an entry of the store.
    pub(super) fn add(&mut self, entry: &AuditEntry) {
        // A keyed hash begins with `hmac-sha256:`, a plain one has only digits.
        self.keyed += u64::from(entry.input_hash.contains(':'));
        let hash = self.hasher.hash_one((&entry.input_hash, &entry.output_hash));
        let first = self.lines.partition_point(|line| line.0 < hash);
        if self.lines.get(first).is_some_and(|line| line.0 == hash) {
            self.found[first] = self.found[first].saturating_add(1);
        }
    }

    /// Reports the interactions that were not found. If an interaction occurs more often in the file than
    /// in the store, its last lines are reported.
    pub(super) fn finish(
        self,
        problems: &mut Problems,
        out: &mut Stdout,
    ) -> Result<Comparison, Failure> {
        let mut missing = Vec::new();
        let mut first = 0;
        for equal in self.lines.chunk_by(|a, b| a.0 == b.0) {
            let found = self.found[first] as usize;
            missing.extend(equal.iter().skip(found).map(|line| line.1));
            first += equal.len();
        }
        missing.sort_unstable();
        for number in &missing {
            let location = format!("{}:{number}", self.file);
            let reason = "the interaction is not recorded".to_owned();
            problems.add(Problem { kind: "missing", location, reason }, out)?;
        }
        let interactions = self.lines.len() as u64;
        let missing = missing.len() as u64;
        Ok(Comparison { file: self.file, interactions, missing, keyed: self.keyed, erased: None })
    }
}
