//! `attestry check --against FILE`: finds interactions of a file that are not recorded.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use attestry::evidence::{Erasures, Hash, line_hash};
use attestry::{AuditEntry, ContentHash, line};

use super::problems::{Problem, Problems};
use crate::commands;
use crate::errors::Failure;
use crate::input::Input;
use crate::output::Stdout;
use crate::pipeline;
use crate::record::{self, Record};
use crate::text::{counted, escaped, thousands};

/// The interactions of a file, identified by a hash of their two content hashes, with the number of
/// entries found for each. Takes 20 bytes of memory per interaction.
pub(super) struct Expected {
    file: String,
    /// Hash and line number, sorted. A repeated interaction has several items with one hash.
    lines: Vec<(u64, u64)>,
    /// With a hash key: the hash of an interaction by its keyed hashes, sorted. Takes 16 bytes more for each.
    keyed_lines: Vec<(u64, u64)>,
    /// Number of entries found, at the index of the first item with their hash.
    found: Vec<u32>,
    /// For lines that are entries, such as those of an export: line number and leaf hash, sorted. Takes
    /// 40 bytes more for each.
    leaves: Vec<(u64, Hash)>,
    hasher: Arc<RandomState>,
    has_key: bool,
    keyed: u64,
}

/// Result of the comparison.
pub(super) struct Comparison {
    pub(super) file: String,
    pub(super) interactions: u64,
    pub(super) missing: u64,
    /// Number of entries with keyed hashes, which cannot be compared without the hash key.
    pub(super) keyed: u64,
    /// Number of lines that are on record as erased. A record has the hash of the erased line, so this
    /// is known of entries only, not of interactions.
    pub(super) erased: u64,
    /// Number of all other entries that are on record as erased.
    pub(super) others_erased: u64,
}

impl Comparison {
    /// Continues a summary.
    pub(super) fn summary(&self) -> String {
        let recorded = self.interactions - self.missing - self.erased;
        let interactions = counted(self.interactions, "interaction", "interactions");
        let file = escaped(&self.file);
        let mut summary = format!(", {} of {interactions} of {file} recorded", thousands(recorded));
        if self.erased > 0 {
            summary += &format!(", {} on record as erased", thousands(self.erased));
        }
        if self.missing > 0 && self.others_erased > 0 {
            let others = counted(self.others_erased, "entry is", "entries are");
            summary += &format!(", {others} on record as erased, perhaps of those missing");
        }
        if self.keyed > 0 {
            let keyed = counted(self.keyed, "entry", "entries");
            summary += &format!(", {keyed} not compared (no hash key)");
        }
        summary
    }
}

/// The hashes that identify a line of the file.
struct Hashes {
    contents: u64,
    /// Those with the hash key, of an interaction.
    keyed: Option<u64>,
    /// Of a line that is an entry.
    leaf: Option<Hash>,
}

/// A line number, and the hashes of the line or the reason why it is bad.
type Line = (u64, Result<Hashes, String>);

impl Expected {
    /// Reads `input`, and hashes its interactions with the key of `hash`, too, if it has one. Bad lines are
    /// problems.
    pub(super) async fn read(
        input: Input,
        hash: &ContentHash,
        problems: &mut Problems,
        out: &mut Stdout,
    ) -> Result<Self, Failure> {
        let file = input.name.clone();
        let hasher = Arc::new(RandomState::new());
        let line_hasher = Arc::clone(&hasher);
        let keyed = match hash {
            ContentHash::Sha256 => None,
            keyed => Some(keyed.clone()),
        };
        let has_key = keyed.is_some();
        let mut chunks = pipeline::process(input, move |chunk| -> Vec<Line> {
            let hash = |line: &[u8]| {
                if let (Ok(entry), Ok(leaf)) = (line::decode(line), line_hash(line)) {
                    let contents = line_hasher.hash_one((entry.input_hash, entry.output_hash));
                    return Ok(Hashes { contents, keyed: None, leaf: Some(leaf) });
                }
                let hashed = |contents: (String, String)| line_hasher.hash_one(contents);
                let (contents, keyed) = match record::decode(line)? {
                    Record::Interaction(interaction) => {
                        let both = |hash: &ContentHash| {
                            hashed((
                                hash.hash(interaction.input()),
                                hash.hash(interaction.output()),
                            ))
                        };
                        (both(&ContentHash::Sha256), keyed.as_ref().map(both))
                    }
                    Record::Entry(entry) => (hashed((entry.input_hash, entry.output_hash)), None),
                };
                Ok(Hashes { contents, keyed, leaf: None })
            };
            let lines = chunk.lines();
            lines.map(|(n, line)| (n, line.map_err(commands::too_long).and_then(hash))).collect()
        })?;
        let (mut lines, mut keyed_lines, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(chunk) = chunks.next().await {
            for (number, line) in chunk?.output {
                match line {
                    Ok(Hashes { contents, keyed, leaf }) => {
                        lines.push((contents, number));
                        keyed_lines.extend(keyed.map(|keyed| (keyed, contents)));
                        leaves.extend(leaf.map(|leaf| (number, leaf)));
                    }
                    Err(reason) => {
                        let location = format!("{file}:{number}");
                        problems.add(Problem { kind: "bad line", location, reason }, out)?;
                    }
                }
            }
        }
        lines.sort_unstable();
        keyed_lines.sort_unstable();
        let found = vec![0; lines.len()];
        Ok(Self { file, lines, keyed_lines, found, leaves, hasher, has_key, keyed: 0 })
    }

    /// Counts an entry of the store.
    pub(super) fn add(&mut self, entry: &AuditEntry) {
        // A keyed hash begins with `hmac-sha256:`, a plain one has only digits.
        let is_keyed = entry.input_hash.contains(':');
        self.keyed += u64::from(is_keyed && !self.has_key);
        let mut hash = self.hasher.hash_one((&entry.input_hash, &entry.output_hash));
        if is_keyed {
            let known = self.keyed_lines.binary_search_by_key(&hash, |(keyed, _)| *keyed);
            hash = known.map_or(hash, |at| self.keyed_lines[at].1);
        }
        let first = self.lines.partition_point(|line| line.0 < hash);
        if self.lines.get(first).is_some_and(|line| line.0 == hash) {
            self.found[first] = self.found[first].saturating_add(1);
        }
    }

    /// The numbers of the lines that were not found. If an interaction occurs more often in the file than
    /// in the store, its last lines are missing.
    pub(super) fn missing(&self) -> Vec<u64> {
        let mut missing = Vec::new();
        let mut first = 0;
        for equal in self.lines.chunk_by(|a, b| a.0 == b.0) {
            let found = self.found[first] as usize;
            missing.extend(equal.iter().skip(found).map(|line| line.1));
            first += equal.len();
        }
        missing.sort_unstable();
        missing
    }

    /// The leaf hash of the line, if it is an entry.
    pub(super) fn leaf(&self, number: u64) -> Option<Hash> {
        let index = self.leaves.binary_search_by_key(&number, |leaf| leaf.0).ok()?;
        Some(self.leaves[index].1)
    }

    /// Reports the `missing` lines that are not on record as erased.
    pub(super) fn finish(
        self,
        mut missing: Vec<u64>,
        erasures: &Erasures,
        problems: &mut Problems,
        out: &mut Stdout,
    ) -> Result<Comparison, Failure> {
        let all = missing.len();
        missing.retain(|number| {
            self.leaf(*number).is_none_or(|leaf| !erasures.found.contains_key(&leaf))
        });
        let erased = (all - missing.len()) as u64;
        for number in &missing {
            let location = format!("{}:{number}", self.file);
            let reason = "the interaction is not recorded".to_owned();
            problems.add(Problem { kind: "missing", location, reason }, out)?;
        }
        let interactions = self.lines.len() as u64;
        let missing = missing.len() as u64;
        let others_erased = erasures.total.saturating_sub(erasures.found.len() as u64);
        Ok(Comparison {
            file: self.file,
            interactions,
            missing,
            keyed: self.keyed,
            erased,
            others_erased,
        })
    }
}
