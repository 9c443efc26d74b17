//! Which lines of a segment are which leaves, where not every line is that of the next leaf.

use std::collections::{HashMap, VecDeque};

use attestry_evidence::Hash;

use super::cursor::Found;
use crate::tree::lines::HashedLine;

/// A leaf of the segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    pub(super) leaf: u64,
    pub(super) hash: Hash,
    /// Whether it is on record as erased.
    pub(super) erased: bool,
}

/// A line that is not what should stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    /// It is that of no leaf, and no leaf lacks one there.
    Inserted(HashedLine),
    /// It is that of a leaf, but out of order.
    Moved(HashedLine, u64),
    /// It stands where the line of a leaf should.
    Altered(HashedLine, u64),
}

/// What became of each leaf, in order, and the lines that should not be, in the order of the file.
///
/// The longest sequence of lines that are in the order of their leaves is taken to be untouched; other
/// lines of leaves were moved. Between two untouched lines, a line that is that of no leaf stands
/// for a leaf without one: it was altered. What is left over was inserted, or is gone.
pub(super) fn align(leaves: &[Leaf], lines: &[HashedLine]) -> (VecDeque<Found>, Vec<Extra>) {
    let of_line = match_by_hash(leaves, lines);
    let in_order = longest_ascending(&of_line);
    let mut found = vec![Found::Gone; leaves.len()];
    let mut extras = Vec::new();
    for &leaf in of_line.iter().flatten() {
        found[leaf] = Found::Line;
    }
    let (mut next_leaf, mut next_line) = (0, 0);
    let end = (leaves.len(), lines.len());
    let anchors = in_order.into_iter().filter_map(|line| Some((of_line[line]?, line)));
    for (leaf, line) in anchors.chain([end]) {
        let mut without_line =
            (next_leaf..leaf).filter(|&leaf| of_gone(&found, leaf) && !leaves[leaf].erased);
        let mut altered = Vec::new();
        for at in next_line..line.min(lines.len()) {
            let extra = match of_line[at] {
                Some(leaf) => Extra::Moved(lines[at], leaves[leaf].leaf),
                None => match without_line.next() {
                    Some(leaf) => {
                        altered.push(leaf);
                        Extra::Altered(lines[at], leaves[leaf].leaf)
                    }
                    None => Extra::Inserted(lines[at]),
                },
            };
            extras.push(extra);
        }
        drop(without_line);
        altered.into_iter().for_each(|leaf| found[leaf] = Found::Altered);
        (next_leaf, next_line) = (leaf + 1, line + 1);
    }
    (found.into(), extras)
}

fn of_gone(found: &[Found], leaf: usize) -> bool {
    found[leaf] == Found::Gone
}

/// For each line the leaf that has its hash, each leaf once; equal ones in order. Where there are
/// more equal leaves than lines, those on record as erased go without first: an entry that was erased
/// and written again has two leaves and one line.
fn match_by_hash(leaves: &[Leaf], lines: &[HashedLine]) -> Vec<Option<usize>> {
    let mut by_hash: HashMap<Hash, VecDeque<usize>> = HashMap::with_capacity(leaves.len());
    for (number, leaf) in leaves.iter().enumerate() {
        by_hash.entry(leaf.hash).or_default().push_back(number);
    }
    let mut lines_of: HashMap<Hash, usize> = HashMap::with_capacity(by_hash.len());
    lines.iter().for_each(|line| *lines_of.entry(line.hash).or_default() += 1);
    for (hash, equal) in &mut by_hash {
        let lines = lines_of.get(hash).copied().unwrap_or(0);
        let mut spare = equal.len().saturating_sub(lines);
        equal.retain(|&leaf| {
            let dropped = spare > 0 && leaves[leaf].erased;
            spare -= usize::from(dropped);
            !dropped
        });
    }
    lines.iter().map(|line| by_hash.get_mut(&line.hash)?.pop_front()).collect()
}

/// The lines that make the longest sequence in which their leaves ascend.
fn longest_ascending(of_line: &[Option<usize>]) -> Vec<usize> {
    // By the length of a sequence: the line that ends one of that length with the least leaf.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; of_line.len()];
    for (line, leaf) in of_line.iter().enumerate() {
        let Some(leaf) = leaf else { continue };
        let length = ends.partition_point(|&end| of_line[end].is_some_and(|other| other < *leaf));
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

    /// A capital letter is erased, too: it has the hash of the small one.
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

    /// What became of the leaves (`.` a line, `-` gone, `~` altered), and of the lines.
    fn told(logged: &str, erased: &str, there: &str) -> (String, String) {
        let (found, extras) = align(&leaves(logged, erased), &lines(there));
        let sign = |found| match found {
            Found::Line => '.',
            Found::Gone => '-',
            Found::Altered => '~',
        };
        let extra = |extra| match extra {
            Extra::Inserted(line) => format!("+{} ", line.offset / 2),
            Extra::Moved(line, leaf) => format!("{}>{leaf} ", line.offset / 2),
            Extra::Altered(line, leaf) => format!("{}~{leaf} ", line.offset / 2),
        };
        let extras: String = extras.into_iter().map(extra).collect();
        (found.into_iter().map(sign).collect(), extras.trim_end().to_owned())
    }

    #[test]
    fn each_kind_of_change_is_told_from_the_others() {
        for (logged, erased, there, found, extras) in [
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
            let told = told(logged, erased, there);
            assert_eq!((told.0.as_str(), told.1.as_str()), (found, extras), "{logged} {there}");
        }
    }

    proptest! {
        #[test]
        fn every_leaf_and_every_line_is_accounted_for(
            logged in "[a-f]{0,12}", there in "[a-h]{0,12}", erased in "[a-f]{0,2}",
        ) {
            let (found, extras) = align(&leaves(&logged, &erased), &lines(&there));
            prop_assert_eq!(found.len(), logged.len());
            let count = |what| found.iter().filter(|&&found| found == what).count();
            let extra = |wanted: fn(&Extra) -> bool| extras.iter().filter(|e| wanted(e)).count();
            let altered = extra(|extra| matches!(extra, Extra::Altered(..)));
            let inserted = extra(|extra| matches!(extra, Extra::Inserted(_)));
            prop_assert_eq!(count(Found::Altered), altered);
            prop_assert_eq!(count(Found::Line) + altered + inserted, there.len());
            let wrong = there != logged || extras.is_empty();
            prop_assert!(wrong, "what was not changed is not complained of");
        }
    }
}
