//! Matches the lines of a segment with its leaves after the first difference.

use std::collections::{HashMap, VecDeque};

use attestry_evidence::Hash;

use crate::tree::line_hashes::HashedLine;

/// What became of the line of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeafState {
    Intact,
    Missing,
    /// Another line is in its place.
    Altered,
}

/// A leaf of the segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    pub(super) leaf: u64,
    pub(super) hash: Hash,
    /// Whether its erasure is recorded.
    pub(super) erased: bool,
}

/// A line that is not what was logged there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineProblem {
    /// The line of no leaf, where no leaf lacks one.
    Inserted(HashedLine),
    /// The line of this leaf, out of order.
    Moved(HashedLine, u64),
    /// The line of no leaf, in the place of this one's.
    Altered(HashedLine, u64),
}

/// Returns the state of each leaf, in order, and the problems of lines in file order.
///
/// The longest sequence of lines whose leaves ascend counts as untouched; other lines of leaves were
/// moved. Between two untouched lines, lines of no leaf are assigned to the leaves without a line: those
/// were altered. Lines that are left over were inserted, leaves that are left over are missing.
pub(super) fn diff(
    leaves: &[Leaf],
    lines: &[HashedLine],
) -> (VecDeque<LeafState>, Vec<LineProblem>) {
    let leaf_of = match_by_hash(leaves, lines);
    let untouched = longest_ascending(&leaf_of);
    let mut states = vec![LeafState::Missing; leaves.len()];
    let mut problems = Vec::new();
    for &leaf in leaf_of.iter().flatten() {
        states[leaf] = LeafState::Intact;
    }
    let (mut next_leaf, mut next_line) = (0, 0);
    let end = (leaves.len(), lines.len());
    let anchors = untouched.into_iter().filter_map(|line| Some((leaf_of[line]?, line)));
    for (leaf, line) in anchors.chain([end]) {
        let mut without_line = (next_leaf..leaf)
            .filter(|&leaf| states[leaf] == LeafState::Missing && !leaves[leaf].erased);
        let mut altered = Vec::new();
        for at in next_line..line.min(lines.len()) {
            problems.push(match leaf_of[at] {
                Some(leaf) => LineProblem::Moved(lines[at], leaves[leaf].leaf),
                None => match without_line.next() {
                    Some(leaf) => {
                        altered.push(leaf);
                        LineProblem::Altered(lines[at], leaves[leaf].leaf)
                    }
                    None => LineProblem::Inserted(lines[at]),
                },
            });
        }
        drop(without_line);
        altered.into_iter().for_each(|leaf| states[leaf] = LeafState::Altered);
        (next_leaf, next_line) = (leaf + 1, line + 1);
    }
    (states.into(), problems)
}

/// For each line the leaf with its hash, each leaf once and equal ones in order. If there are more equal
/// leaves than lines, erased ones get no line first: an entry that was erased and written again has two
/// leaves and one line.
fn match_by_hash(leaves: &[Leaf], lines: &[HashedLine]) -> Vec<Option<usize>> {
    let mut by_hash: HashMap<Hash, VecDeque<usize>> = HashMap::with_capacity(leaves.len());
    for (number, leaf) in leaves.iter().enumerate() {
        by_hash.entry(leaf.hash).or_default().push_back(number);
    }
    let mut lines_of: HashMap<Hash, usize> = HashMap::with_capacity(by_hash.len());
    lines.iter().for_each(|line| *lines_of.entry(line.hash).or_default() += 1);
    for (hash, equal) in &mut by_hash {
        let lines = lines_of.get(hash).copied().unwrap_or(0);
        let mut excess = equal.len().saturating_sub(lines);
        equal.retain(|&leaf| {
            let dropped = excess > 0 && leaves[leaf].erased;
            excess -= usize::from(dropped);
            !dropped
        });
    }
    lines.iter().map(|line| by_hash.get_mut(&line.hash)?.pop_front()).collect()
}

/// The lines of the longest subsequence whose leaves ascend.
fn longest_ascending(leaf_of: &[Option<usize>]) -> Vec<usize> {
    // For each length, the last line of the subsequence of that length that ends with the least leaf.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; leaf_of.len()];
    for (line, leaf) in leaf_of.iter().enumerate() {
        let Some(leaf) = leaf else { continue };
        let length = ends.partition_point(|&end| leaf_of[end].is_some_and(|other| other < *leaf));
        before[line] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = line,
            None => ends.push(line),
        }
    }
    let mut sequence = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(line) = next {
        sequence.push(line);
        next = before[line];
    }
    sequence.reverse();
    sequence
}

#[cfg(test)]
mod tests {
    use attestry_evidence::leaf_hash;
    use proptest::prelude::*;

    use super::*;

    /// An upper-case letter is an erased leaf with the hash of the lower-case line.
    fn leaves(text: &str, erased: &str) -> Vec<Leaf> {
        let leaf = |(leaf, line): (usize, char)| Leaf {
            leaf: leaf as u64,
            hash: leaf_hash(line.to_string().to_lowercase().as_bytes()),
            erased: erased.contains(line) || line.is_uppercase(),
        };
        text.chars().enumerate().map(leaf).collect()
    }

    fn lines(text: &str) -> Vec<HashedLine> {
        let line = |(number, line): (usize, char)| HashedLine {
            offset: number as u64 * 2,
            length: 1,
            hash: leaf_hash(line.to_string().as_bytes()),
        };
        text.chars().enumerate().map(line).collect()
    }

    /// The states of the leaves (`.` intact, `-` missing, `~` altered), and the problems of lines.
    fn shown(logged: &str, erased: &str, there: &str) -> (String, String) {
        let (states, problems) = diff(&leaves(logged, erased), &lines(there));
        let state = |state| match state {
            LeafState::Intact => '.',
            LeafState::Missing => '-',
            LeafState::Altered => '~',
        };
        let problem = |problem| match problem {
            LineProblem::Inserted(line) => format!("+{} ", line.offset / 2),
            LineProblem::Moved(line, leaf) => format!("{}>{leaf} ", line.offset / 2),
            LineProblem::Altered(line, leaf) => format!("{}~{leaf} ", line.offset / 2),
        };
        let problems: String = problems.into_iter().map(problem).collect();
        (states.into_iter().map(state).collect(), problems.trim_end().to_owned())
    }

    #[test]
    fn each_kind_of_change_is_recognised() {
        for (logged, erased, there, states, problems) in [
            ("abcd", "", "abcd", "....", ""),
            ("abcd", "", "abxd", "..~.", "2~2"),
            ("abcd", "", "acd", ".-..", ""),
            ("abcd", "b", "acd", ".-..", ""),
            ("abcd", "", "abxcd", "....", "+2"),
            ("abcd", "", "acbd", "....", "1>2"),
            ("abcd", "", "bcda", "....", "3>0"),
            ("abcd", "", "", "----", ""),
            ("abcd", "", "wxyz", "~~~~", "0~0 1~1 2~2 3~3"),
            ("abcd", "", "xd", "~--.", "0~0"),
            ("abcd", "bc", "axd", ".--.", "+1"),
            ("aab", "", "ab", ".-.", ""),
            ("Aba", "", "ba", "-..", ""),
            ("AbAca", "", "bca", "-.-..", ""),
            ("Aba", "", "aba", "...", ""),
            ("Aba", "", "ab", "-..", "0>2"),
            ("", "", "x", "", "+0"),
        ] {
            let shown = shown(logged, erased, there);
            assert_eq!(
                (shown.0.as_str(), shown.1.as_str()),
                (states, problems),
                "{logged} {there}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_leaf_and_line_is_accounted_for(
            logged in "[a-f]{0,12}", there in "[a-h]{0,12}", erased in "[a-f]{0,2}",
        ) {
            let (states, problems) = diff(&leaves(&logged, &erased), &lines(&there));
            prop_assert_eq!(states.len(), logged.len());
            let leaves = |wanted| states.iter().filter(|&&state| state == wanted).count();
            let lines = |wanted: fn(&LineProblem) -> bool| problems.iter().filter(|p| wanted(p)).count();
            let altered = lines(|problem| matches!(problem, LineProblem::Altered(..)));
            let inserted = lines(|problem| matches!(problem, LineProblem::Inserted(_)));
            prop_assert_eq!(leaves(LeafState::Altered), altered);
            prop_assert_eq!(leaves(LeafState::Intact) + altered + inserted, there.len());
            prop_assert!(there != logged || problems.is_empty(), "no problem without a change");
        }
    }
}
