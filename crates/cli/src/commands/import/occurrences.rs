//! Numbers identical records of a file, in bounded memory.

/// Sizes of the filters in blocks of a cache line: 4, 16 and 64 MiB.
const BLOCKS: [usize; 3] = [1 << 16, 1 << 18, 1 << 20];
/// A filter takes so many records for each of its blocks, and the next one takes the records after these:
/// a false positive has a probability of one in a million then. The last filter takes all others.
const RECORDS_PER_BLOCK: usize = 8;
/// 16 MiB.
const REPEATED_COUNTERS: usize = 1 << 22;
const PROBES: usize = 8;
const ROWS: usize = 4;

/// Assigns each record a number that no identical record had before: 0 to the first, and usually 1, 2, …
/// to the others.
///
/// Bloom filters distinguish first records from repeated ones, and a count-min sketch counts the repeated
/// ones. Both depend on nothing but the records so far, so that a file gets the same numbers each time, also
/// when lines were added at its end. An error of either only skips numbers. Takes at most 100 MiB: a file of
/// few records takes a small filter, whose memory stays in the processor's cache.
pub(super) struct Occurrences {
    filters: Vec<Filter>,
    repeated: Vec<u32>,
}

/// A blocked Bloom filter.
struct Filter {
    blocks: Vec<[u64; 8]>,
    records: usize,
}

impl Filter {
    fn new(blocks: usize) -> Self {
        // Zeroed memory of the operating system, without writing to it.
        Self { blocks: vec![[0; 8]; blocks], records: 0 }
    }

    /// The word and the mask of each bit of a record in its block.
    fn bits(probes: u64) -> impl Iterator<Item = (usize, u64)> {
        (0..PROBES).map(move |probe| {
            let bit = (probes >> (7 * probe)) as usize % 512; // seven of nine bits are new
            (bit / 64, 1 << (bit % 64))
        })
    }

    fn block(&mut self, block: u64) -> &mut [u64; 8] {
        let blocks = self.blocks.len();
        &mut self.blocks[block as usize % blocks]
    }

    fn contains(&mut self, block: u64, probes: u64) -> bool {
        let block = self.block(block);
        Self::bits(probes).all(|(word, mask)| block[word] & mask != 0)
    }

    /// Adds a record; returns whether it was there already.
    fn insert(&mut self, block: u64, probes: u64) -> bool {
        let block = self.block(block);
        let mut seen = true;
        for (word, mask) in Self::bits(probes) {
            seen &= block[word] & mask != 0;
            block[word] |= mask;
        }
        self.records += usize::from(!seen);
        seen
    }
}

impl Occurrences {
    pub(super) fn new() -> Self {
        Self { filters: vec![Filter::new(BLOCKS[0])], repeated: vec![0; REPEATED_COUNTERS] }
    }

    /// Whether a record was there before; adds it.
    fn seen(&mut self, block: u64, probes: u64) -> bool {
        let last = self.filters.len() - 1;
        let (before, last) = self.filters.split_at_mut(last);
        if before.iter_mut().any(|filter| filter.contains(block, probes)) {
            return true;
        }
        let last = &mut last[0];
        let seen = last.insert(block, probes);
        if last.records == RECORDS_PER_BLOCK * last.blocks.len()
            && let Some(blocks) = BLOCKS.get(self.filters.len())
        {
            self.filters.push(Filter::new(*blocks));
        }
        seen
    }

    /// The number of the next record with this SHA-256, in hexadecimal.
    pub(super) fn next(&mut self, sha256: &str) -> u64 {
        let part = |at: usize| {
            sha256.get(at..at + 16).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0)
        };
        let [block, probes, rows] = [part(0), part(16), part(32)];
        if !self.seen(block, probes) {
            return 0;
        }
        // Only the smallest of its counters grow, which keeps the errors of others small.
        let of_row = |row: usize| {
            let width = REPEATED_COUNTERS / ROWS;
            row * width
                + (rows >> (16 * row) ^ probes.rotate_left(row as u32 * 16)) as usize % width
        };
        let counters: [usize; ROWS] = std::array::from_fn(of_row);
        let least = counters.iter().map(|&at| self.repeated[at]).min().unwrap_or(0);
        let number = least.saturating_add(1);
        for at in counters {
            self.repeated[at] = self.repeated[at].max(number);
        }
        number.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attestry::hash_content;

    #[test]
    fn identical_records_are_counted() {
        let mut occurrences = Occurrences::new();
        for expected in 0..5 {
            assert_eq!(occurrences.next(&hash_content("a")), expected);
        }
        assert_eq!(occurrences.next(&hash_content("b")), 0);
        assert_eq!(occurrences.next(&hash_content("b")), 1);
        assert_eq!(occurrences.next(&hash_content("a")), 5);
    }

    #[test]
    fn distinct_records_are_first_occurrences() {
        let mut occurrences = Occurrences::new();
        // Enough for two filters.
        let hashes = (0..600_000).map(|n: u32| hash_content(&n.to_string()));
        let repeated = hashes.filter(|hash| occurrences.next(hash) != 0).count();
        assert!(repeated <= 2, "{repeated}");
        assert_eq!(occurrences.filters.len(), 2);
        assert_eq!(occurrences.next(&hash_content("0")), 1);
    }

    #[test]
    fn numbers_never_repeat_when_the_filter_is_full() {
        let mut occurrences = Occurrences::new();
        occurrences.filters[0].blocks.fill([u64::MAX; 8]);
        occurrences.repeated.iter_mut().enumerate().for_each(|(n, count)| *count = n as u32 % 7);
        let numbers: Vec<_> = (0..100).map(|_| occurrences.next(&hash_content("a"))).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }
}
