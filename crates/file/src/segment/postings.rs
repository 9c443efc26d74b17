//! The secondary index in memory: for each key, the lines by the hashes of their texts.

use super::terms::{Condition, IndexKey, IndexKeys, Term};

/// Below this, new postings are not sorted: searching them takes a microsecond.
const MIN_UNSORTED: usize = 1 << 10;
/// The share of unsorted postings, as a divisor, from which all are sorted.
const UNSORTED_SHARE: usize = 8;

/// That a line has a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Posting {
    pub(super) hash: u64,
    /// The number of the line.
    pub(super) line: u32,
}

/// The lines of a key by the hashes of their texts. Sorted up to a rest, so that adding a line costs a
/// constant time on average, and a lookup a search and a look at the rest.
#[derive(Debug, Clone, Default)]
pub(super) struct Postings {
    all: Vec<Posting>,
    /// How many of them are sorted.
    sorted: usize,
}

impl Postings {
    /// Adds a line that follows those that were added before.
    pub(super) fn push(&mut self, term: Term, line: u32) {
        self.all.push(Posting { hash: term.hash, line });
        let unsorted = self.all.len() - self.sorted;
        if unsorted > MIN_UNSORTED && unsorted > self.sorted / UNSORTED_SHARE {
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.all.sort(); // the stable sort keeps what is sorted already, and merges
        self.sorted = self.all.len();
    }

    /// The lines with a term of this hash, ascending.
    pub(super) fn lines_of(&self, hash: u64) -> impl Iterator<Item = u32> {
        let (sorted, rest) = self.all.split_at(self.sorted);
        let first = sorted.partition_point(|posting| posting.hash < hash);
        let found = sorted[first..].iter().take_while(move |posting| posting.hash == hash);
        let later = rest.iter().filter(move |posting| posting.hash == hash);
        found.chain(later).map(|posting| posting.line)
    }

    /// All postings with their lines numbered by `renumber`, without those that it leaves out, sorted.
    pub(super) fn renumbered(&self, renumber: impl Fn(u32) -> Option<u32>) -> Vec<Posting> {
        let renumber =
            |posting: &Posting| Some(Posting { line: renumber(posting.line)?, ..*posting });
        let mut all: Vec<_> = self.all.iter().filter_map(renumber).collect();
        all.sort();
        all
    }

    /// From postings in any order.
    pub(super) fn from_unsorted(all: Vec<Posting>) -> Self {
        let mut postings = Self { all, sorted: 0 };
        postings.sort();
        postings
    }
}

/// The lines of a segment by the texts of some keys.
#[derive(Debug)]
pub(super) struct SecondaryIndex {
    keys: IndexKeys,
    /// One for each of `keys`.
    postings: Vec<Postings>,
}

impl SecondaryIndex {
    pub(super) fn new(keys: IndexKeys) -> Self {
        let postings = keys.iter().map(|_| Postings::default()).collect();
        Self { keys, postings }
    }

    /// From the postings of each key, in their order.
    pub(super) fn from_postings(keys: IndexKeys, postings: Vec<Postings>) -> Self {
        Self { keys, postings }
    }

    pub(super) fn keys(&self) -> &IndexKeys {
        &self.keys
    }

    /// The postings of `key`, unless it is not indexed.
    pub(super) fn of_key(&self, key: &IndexKey) -> Option<&Postings> {
        self.postings.get(self.keys.position(key)?)
    }

    /// Adds a line that follows those that were added before, with its terms.
    pub(super) fn push(&mut self, terms: &[Term], line: u32) {
        for &term in terms {
            if let Some(postings) = self.postings.get_mut(term.key as usize) {
                postings.push(term, line);
            }
        }
    }

    /// The lines, ascending, that meet the most selective of `conditions` by its hash; `None` if no condition is
    /// on an indexed key.
    pub(super) fn candidates(&self, conditions: &[Condition]) -> Option<Vec<u32>> {
        let lines_of = |condition: &Condition| -> Option<Vec<u32>> {
            Some(self.of_key(&condition.key)?.lines_of(condition.hash).collect())
        };
        conditions.iter().filter_map(lines_of).min_by_key(Vec::len)
    }

    /// The postings of each key, with the lines numbered by `renumber`, without those that it leaves out, sorted.
    pub(super) fn renumbered(
        &self,
        renumber: impl Fn(u32) -> Option<u32>,
    ) -> impl Iterator<Item = (&IndexKey, Vec<Posting>)> {
        let renumbered = move |postings: &Postings| postings.renumbered(&renumber);
        self.keys.iter().zip(self.postings.iter().map(renumbered))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lookups_find_every_line_in_order(
            hashes in proptest::collection::vec(0..40u64, 0..5_000), erased in any::<u8>(),
        ) {
            let mut postings = Postings::default();
            for (line, &hash) in (0..).zip(&hashes) {
                postings.push(Term { key: 0, hash }, line);
            }
            let expected = |wanted: u64| {
                let lines = (0u32..).zip(&hashes).filter(move |(_, hash)| **hash == wanted);
                lines.map(|(line, _)| line)
            };
            for hash in 0..41 {
                prop_assert!(postings.lines_of(hash).eq(expected(hash)));
            }
            let is_left = |line: u32| line % 7 != u32::from(erased % 7);
            let renumbered = postings.renumbered(|line| is_left(line).then_some(line * 2));
            prop_assert!(renumbered.is_sorted());
            let left = (0..41).flat_map(expected).filter(|&line| is_left(line));
            prop_assert!(renumbered.iter().map(|posting| posting.line / 2).eq(left));
            let restored = Postings::from_unsorted(renumbered.into_iter().rev().collect());
            let lines = expected(3).filter(|&line| is_left(line)).map(|line| line * 2);
            prop_assert!(restored.lines_of(3).eq(lines));
        }
    }
}
