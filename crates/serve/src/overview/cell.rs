//! What is counted of the calls of an hour, a day, or a longer time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use attestry::stats::Summary;
use attestry::{AuditEntry, metadata};

/// Names that a cell counts by each [`Dimension`]; of further ones it counts how often there were any.
const MAX_NAMES_OF_CELL: usize = 500;
/// Names that all cells together count by each [`Dimension`].
const MAX_NAMES: usize = 10_000;
/// A longer name is cut.
const MAX_NAME_BYTES: usize = 200;
/// The end of a name that was cut.
pub(crate) const CUT: char = '…';

/// By what calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dimension {
    Model,
    Provider,
    User,
    Detector,
}

impl Dimension {
    pub(crate) const ALL: [Self; 4] = [Self::Model, Self::Provider, Self::User, Self::Detector];
}

/// How calls ended that were not completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Failed,
    CutOff,
    Abandoned,
    Blocked,
}

impl Outcome {
    pub(crate) const ALL: [Self; 4] = [Self::Failed, Self::CutOff, Self::Abandoned, Self::Blocked];

    /// The value in the metadata.
    pub(crate) const fn value(self) -> &'static str {
        match self {
            Self::Failed => metadata::OUTCOME_FAILED,
            Self::CutOff => metadata::OUTCOME_CUT_OFF,
            Self::Abandoned => metadata::OUTCOME_ABANDONED,
            Self::Blocked => metadata::OUTCOME_BLOCKED,
        }
    }
}

/// Counts of the calls of some time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    pub(crate) summary: Summary,
    outcomes: [u64; Outcome::ALL.len()],
    names: [NameCounts; Dimension::ALL.len()],
}

/// How many calls had each name.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameCounts {
    counts: HashMap<Arc<str>, u64>,
    /// Calls with names that are not counted, because there were too many.
    pub(crate) left_out: u64,
}

/// The names that cells count by each [`Dimension`], each once in memory.
#[derive(Debug, Default)]
pub(crate) struct Names([HashSet<Arc<str>>; Dimension::ALL.len()]);

impl Cell {
    pub(crate) fn add(&mut self, entry: &AuditEntry, names: &mut Names) {
        self.summary.add(entry);
        if let Some(at) = Outcome::ALL.iter().position(|one| one.value() == entry.outcome()) {
            self.outcomes[at] += 1;
        }
        let mut count = |dimension: Dimension, name: Option<&str>| {
            if let Some(name) = name {
                let known = names.intern(dimension, name);
                self.names[dimension as usize].add(known);
            }
        };
        count(Dimension::Model, entry.model.as_deref());
        count(Dimension::Provider, entry.provider.as_deref());
        count(Dimension::User, entry.user());
        let detectors = &entry.detectors_triggered;
        for (at, detector) in detectors.iter().enumerate() {
            if !detectors[..at].contains(detector) {
                count(Dimension::Detector, Some(detector));
            }
        }
    }

    /// Adds the counts of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.summary.merge(&other.summary);
        for (count, more) in self.outcomes.iter_mut().zip(other.outcomes) {
            *count += more;
        }
        for (names, more) in self.names.iter_mut().zip(&other.names) {
            names.merge(more);
        }
    }

    /// Counts the rarest names no longer, if there are too many for one cell.
    pub(crate) fn shrink(&mut self) {
        self.names.iter_mut().for_each(NameCounts::shrink);
    }

    pub(crate) fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    pub(crate) fn names(&self, dimension: Dimension) -> &NameCounts {
        &self.names[dimension as usize]
    }
}

impl NameCounts {
    /// Counts a name; `None` is one that is not counted.
    fn add(&mut self, known: Option<Arc<str>>) {
        let has_room = self.counts.len() < MAX_NAMES_OF_CELL;
        match known {
            Some(name) if has_room || self.counts.contains_key(&name) => {
                *self.counts.entry(name).or_default() += 1;
            }
            _ => self.left_out += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            *self.counts.entry(Arc::clone(name)).or_default() += count;
        }
        self.left_out += other.left_out;
    }

    fn shrink(&mut self) {
        if self.counts.len() <= MAX_NAMES_OF_CELL {
            return;
        }
        let all = self.top(usize::MAX);
        self.left_out += all[MAX_NAMES_OF_CELL..].iter().map(|(_, count)| count).sum::<u64>();
        self.counts = all.into_iter().take(MAX_NAMES_OF_CELL).collect();
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// The most frequent names.
    pub(crate) fn top(&self, limit: usize) -> Vec<(Arc<str>, u64)> {
        let mut all: Vec<_> =
            self.counts.iter().map(|(name, count)| (Arc::clone(name), *count)).collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(limit);
        all
    }
}

impl Names {
    #[cfg(test)]
    pub(super) fn has(&self, dimension: Dimension, name: &str) -> bool {
        self.0[dimension as usize].contains(name)
    }

    /// The name, cut if it is long; `None` if there are too many.
    fn intern(&mut self, dimension: Dimension, name: &str) -> Option<Arc<str>> {
        let cut = (name.len() > MAX_NAME_BYTES).then(|| {
            let end = name.floor_char_boundary(MAX_NAME_BYTES - CUT.len_utf8());
            format!("{}{CUT}", &name[..end])
        });
        let name = cut.as_deref().unwrap_or(name);
        let names = &mut self.0[dimension as usize];
        if let Some(known) = names.get(name) {
            return Some(Arc::clone(known));
        }
        if names.len() >= MAX_NAMES {
            return None;
        }
        let name: Arc<str> = name.into();
        names.insert(Arc::clone(&name));
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(model: &str) -> AuditEntry {
        let id = attestry::create_entry_id();
        let hash = attestry::hash_content("");
        let mut entry = AuditEntry::new(id, attestry::Timestamp::now(), hash.clone(), hash);
        entry.model = Some(model.to_owned());
        entry
    }

    #[test]
    fn names_are_bounded_and_the_most_frequent_stay() {
        let (mut names, mut cell, mut day) = (Names::default(), Cell::default(), Cell::default());
        for number in 0..MAX_NAMES_OF_CELL + 7 {
            cell.add(&entry(&format!("model-{number}")), &mut names);
        }
        let models = cell.names(Dimension::Model);
        assert_eq!((models.len(), models.left_out), (MAX_NAMES_OF_CELL, 7));
        let mut other = Cell::default();
        for number in 0..MAX_NAMES_OF_CELL {
            other.add(&entry(&format!("other-{number}")), &mut names);
            other.add(&entry(&format!("other-{number}")), &mut names);
        }
        day.merge(&cell);
        day.merge(&other);
        day.shrink();
        let models = day.names(Dimension::Model);
        assert_eq!((models.len(), models.left_out), (MAX_NAMES_OF_CELL, 507));
        assert!(
            models
                .top(usize::MAX)
                .iter()
                .all(|(name, count)| name.starts_with("other") && *count == 2)
        );
        assert_eq!(day.summary.entries, 1507);
    }

    #[test]
    fn names_of_users_leave_room_for_those_of_models() {
        let mut names = Names::default();
        for number in 0..=MAX_NAMES {
            let known = names.intern(Dimension::User, &number.to_string());
            assert_eq!(known.is_some(), number < MAX_NAMES);
        }
        let mut cell = Cell::default();
        cell.add(&entry("new"), &mut names);
        assert_eq!(cell.names(Dimension::Model).top(1), [("new".into(), 1)]);
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        let (mut names, mut cell) = (Names::default(), Cell::default());
        cell.add(&entry(&"ä".repeat(500)), &mut names);
        let (name, _) = cell.names(Dimension::Model).top(1).remove(0);
        assert!(name.ends_with(CUT) && name.len() <= MAX_NAME_BYTES);
    }

    #[test]
    fn detector_that_is_named_twice_counts_once() {
        let (mut names, mut cell) = (Names::default(), Cell::default());
        let mut entry = entry("m");
        entry.detectors_triggered = vec!["pii".into(), "pii".into(), "toxicity".into()];
        cell.add(&entry, &mut names);
        let counts: Vec<_> = cell.names(Dimension::Detector).top(9);
        assert_eq!(counts, [("pii".into(), 1), ("toxicity".into(), 1)]);
    }
}
