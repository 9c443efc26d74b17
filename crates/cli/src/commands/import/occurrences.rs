//! Numbers identical records of a file, in bounded memory.

/// 64 MiB in blocks of a cache line, which is exact in practice up to ten million records: a false positive
/// skips a number, and has a probability of one in a million then.
const MAX_BLOCKS: usize = 1 << 20;
/// A block for so many bytes of the file. With records of 60 bytes a false positive has a probability of one
/// in 4 million, with usual records none in practice.
const BYTES_PER_BLOCK: u64 = 256;
/// 16 MiB.
const REPEATED_COUNTERS: usize = 1 << 22;
const PROBES: usize = 8;
const ROWS: usize = 4;

/// Assigns each record a number that no identical record had before: 0 to the first, and usually 1, 2, …
/// to the others.
///
/// A Bloom filter tells first records from repeated ones, and a count-min sketch counts the repeated ones.
/// Both depend on nothing but the records so far, so that a file gets the same numbers each time. An error
/// of either only skips numbers. Takes 16 MiB and a quarter of the length of the file, but at most 80 MiB, of
/// which the operating system provides what is touched.
pub(super) struct Occurrences {
    seen: Vec<[u64; 8]>,
    repeated: Vec<u32>,
}

impl Occurrences {
    /// For a file of so many bytes, if that is known.
    pub(super) fn new(length: Option<u64>) -> Self {
        let blocks = length.and_then(|length| usize::try_from(length / BYTES_PER_BLOCK).ok());
        let blocks = blocks.map_or(MAX_BLOCKS, |blocks| blocks.next_power_of_two().min(MAX_BLOCKS));
        // Zeroed memory of the operating system, without writing to it.
        Self { seen: vec![[0; 8]; blocks], repeated: vec![0; REPEATED_COUNTERS] }
    }

    /// The number of the next record with this SHA-256, in hexadecimal.
    pub(super) fn next(&mut self, sha256: &str) -> u64 {
        let part = |at: usize| {
            sha256.get(at..at + 16).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0)
        };
        let [block, probes, rows] = [part(0), part(16), part(32)];
        let blocks = self.seen.len();
        let block = &mut self.seen[block as usize % blocks];
        let mut seen = true;
        for probe in 0..PROBES {
            let bit = (probes >> (7 * probe)) as usize % 512; // seven of nine bits are new
            let word = &mut block[bit / 64];
            seen &= *word >> (bit % 64) & 1 == 1;
            *word |= 1 << (bit % 64);
        }
        if !seen {
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
        let mut occurrences = Occurrences::new(None);
        for expected in 0..5 {
            assert_eq!(occurrences.next(&hash_content("a")), expected);
        }
        assert_eq!(occurrences.next(&hash_content("b")), 0);
        assert_eq!(occurrences.next(&hash_content("b")), 1);
        assert_eq!(occurrences.next(&hash_content("a")), 5);
    }

    #[test]
    fn distinct_records_are_first_occurrences() {
        let mut occurrences = Occurrences::new(Some(200_000 * 60));
        let hashes = (0..200_000).map(|n: u32| hash_content(&n.to_string()));
        assert!(hashes.into_iter().all(|hash| occurrences.next(&hash) == 0));
    }

    #[test]
    fn numbers_never_repeat_when_the_filter_is_full() {
        let mut occurrences = Occurrences::new(None);
        occurrences.seen.fill([u64::MAX; 8]);
        occurrences.repeated.iter_mut().enumerate().for_each(|(n, count)| *count = n as u32 % 7);
        let numbers: Vec<_> = (0..100).map(|_| occurrences.next(&hash_content("a"))).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }
}
