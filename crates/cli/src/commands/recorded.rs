//! `attestry check --against FILE`: whether each interaction of a file is recorded.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use attestry::{AuditEntry, hash_content};

use crate::errors::Failure;
use crate::output::Stdout;
use crate::pipeline::{self, Input};
use crate::problems::{Problem, Problems};

/// The interactions of a file, each known by a hash of its two content hashes, and how many of
/// each were found. Memory: 20 bytes an interaction.
pub(super) struct Expected {
    file: String,
    /// Sorted; the same hash as often as the interaction occurs, by line.
    lines: Vec<(u64, u64)>,
    /// How many entries were found, where the first of equal hashes stands.
    found: Vec<u32>,
    hasher: Arc<RandomState>,
    keyed: u64,
}

/// What became of the interactions of a file.
pub(super) struct Wanted {
    pub(super) file: String,
    pub(super) interactions: u64,
    pub(super) missing: u64,
    /// Entries of the store whose hashes are keyed: they tell nothing without the hash key.
    pub(super) keyed: u64,
}

/// One line of the file: its number, and its hash or what is wrong with it.
type Line = (u64, Result<u64, String>);

impl Expected {
    /// Reads `input`. Lines that are no interactions are problems.
    pub(super) async fn read(
        input: Input,
        problems: &mut Problems,
        out: &mut Stdout,
    ) -> Result<Self, Failure> {
        let file = input.name.clone();
        let hasher = Arc::new(RandomState::new());
        let keys = Arc::clone(&hasher);
        let mut chunks = pipeline::start(input, move |chunk| -> Vec<Line> {
            let hash = |line: &[u8]| {
                let interaction = super::interaction(line)?;
                let input = hash_content(interaction.input());
                Ok(keys.hash_one((input, hash_content(interaction.output()))))
            };
            let lines = chunk.lines();
            lines.map(|(n, line)| (n, line.map_err(super::too_long).and_then(hash))).collect()
        });
        let mut lines = Vec::new();
        while let Some(chunk) = chunks.next().await {
            for (number, line) in chunk?.result {
                match line {
                    Ok(hash) => lines.push((hash, number)),
                    Err(reason) => {
                        let place = format!("{file}:{number}");
                        problems.add(Problem { kind: "bad line", place, reason }, out)?;
                    }
                }
            }
        }
        lines.sort_unstable();
        let found = vec![0; lines.len()];
        Ok(Self { file, lines, found, hasher, keyed: 0 })
    }

    /// Takes note of an entry of the store.
    pub(super) fn found(&mut self, entry: &AuditEntry) {
        // `hmac-sha256:` and digits, where a plain hash is digits alone.
        self.keyed += u64::from(entry.input_hash.contains(':'));
        let hash = self.hasher.hash_one((&entry.input_hash, &entry.output_hash));
        let first = self.lines.partition_point(|line| line.0 < hash);
        if self.lines.get(first).is_some_and(|line| line.0 == hash) {
            self.found[first] = self.found[first].saturating_add(1);
        }
    }

    /// Names what was not found. Of an interaction that occurs more often than it is recorded,
    /// the last lines are taken to be those that are missing.
    pub(super) fn finish(
        self,
        problems: &mut Problems,
        out: &mut Stdout,
    ) -> Result<Wanted, Failure> {
        let mut missing = Vec::new();
        let mut first = 0;
        for equal in self.lines.chunk_by(|a, b| a.0 == b.0) {
            let found = self.found[first] as usize;
            missing.extend(equal.iter().skip(found).map(|line| line.1));
            first += equal.len();
        }
        missing.sort_unstable();
        for number in &missing {
            let place = format!("{}:{number}", self.file);
            let reason = "this interaction is not recorded".to_owned();
            problems.add(Problem { kind: "missing", place, reason }, out)?;
        }
        let interactions = self.lines.len() as u64;
        let missing = missing.len() as u64;
        Ok(Wanted { file: self.file, interactions, missing, keyed: self.keyed })
    }
}
