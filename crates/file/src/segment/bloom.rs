//! A Bloom filter of ids, in blocks of one cache line: most segments that do not have an id say so
//! without a look at their index.
//!
//! An id sets one bit in each of seven words of its block, so that asking is seven comparisons without
//! a branch between them. A store asks the filters of all its segments for each id; where no branch
//! waits for the last cache line, the processor fetches those of several filters at once.
//!
//! Blocks are in the order of the hashes, and the eighth word counts the ids before the block. So the
//! same cache line tells where among the records an id is, to a few.

/// Words in a block, the count among them.
const WORDS: usize = 8;
const WORD_BYTES: usize = 8;
/// Which word is the count.
const COUNT: usize = WORDS - 1;
pub(crate) const BLOCK_BYTES: usize = WORDS * WORD_BYTES;
/// With the count. Of those who ask in vain, one in 270 is told yes.
const BITS_PER_ID: usize = 14;

/// The bits of some ids. Aligned, as it would lie in two cache lines otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Block([u64; WORDS]);

/// The hash of an id that is looked for, with its bits in any filter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) hash: u64,
    bits: Block,
}

/// A filter, at least one block.
#[derive(Debug)]
pub(super) struct Filter(Vec<Block>);

impl Wanted {
    pub(crate) fn new(hash: u64) -> Self {
        // Six bits of the hash for each word, from the lowest on; the uppermost say which block.
        let bit = |word| if word == COUNT { 0 } else { 1u64 << (hash >> (6 * word) & 63) };
        Self { hash, bits: Block(std::array::from_fn(bit)) }
    }
}

impl Block {
    pub(super) fn from_bytes(bytes: &[u8; BLOCK_BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<WORD_BYTES>();
        Self(std::array::from_fn(|word| u64::from_le_bytes(words[word])))
    }

    /// Whether the id may be among those whose bits these are.
    #[inline]
    pub(super) fn may_have(&self, wanted: &Wanted) -> bool {
        let missing = |missing, (word, bit): (&u64, &u64)| missing | (bit & !word);
        self.0.iter().zip(&wanted.bits.0).fold(0, missing) == 0
    }

    /// How many ids have a lesser hash than all that belong to this block.
    pub(super) fn ids_before(&self) -> u64 {
        self.0[COUNT]
    }
}

impl Filter {
    /// The filter of `hashes`, which ascend.
    pub(super) fn of(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let blocks = (hashes.len() * BITS_PER_ID).div_ceil(BLOCK_BYTES * 8).max(1);
        let mut filter = vec![Block::default(); blocks];
        let (mut counted, mut before) = (0, 0);
        for hash in hashes {
            let place = place_of(hash, blocks as u64).0 as usize;
            // One that has ids already keeps what it counts.
            while counted <= place {
                filter[counted].0[COUNT] = before;
                counted += 1;
            }
            let bits = Wanted::new(hash).bits;
            filter[place].0.iter_mut().zip(&bits.0).for_each(|(word, bit)| *word |= bit);
            before += 1;
        }
        filter[counted..].iter_mut().for_each(|block| block.0[COUNT] = before);
        Self(filter)
    }

    /// The filter that [`to_bytes`](Self::to_bytes) gave.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let (blocks, _) = bytes.as_chunks();
        Self(blocks.iter().map(Block::from_bytes).collect())
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|block| block.0).flat_map(u64::to_le_bytes).collect()
    }

    /// The block that the id belongs to.
    #[inline]
    pub(super) fn block(&self, wanted: &Wanted) -> Option<&Block> {
        self.0.get(place_of(wanted.hash, self.0.len() as u64).0 as usize)
    }
}

/// Which of `blocks` blocks `hash` belongs to, and which share of 2^32 of those that do lies before it
/// if they are spread evenly.
#[inline]
pub(super) fn place_of(hash: u64, blocks: u64) -> (u64, u64) {
    let place = (hash >> 32) * blocks;
    (place >> 32, place & u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes() -> impl Iterator<Item = u64> {
        // SplitMix64: hashes of ids are as evenly spread.
        let mut state = 0u64;
        std::iter::repeat_with(move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })
    }

    #[test]
    fn never_denies_what_it_has_and_seldom_claims_what_it_has_not() {
        let mut all = hashes();
        let mut has: Vec<u64> = all.by_ref().take(50_000).collect();
        has.sort_unstable();
        let filter = Filter::from_bytes(&Filter::of(has.iter().copied()).to_bytes());
        let claims = |hash| {
            let wanted = Wanted::new(hash);
            filter.block(&wanted).unwrap().may_have(&wanted)
        };
        assert!(has.iter().all(|&hash| claims(hash)));
        let wrong = all.take(50_000).filter(|&hash| claims(hash)).count();
        assert!(wrong < 250, "{wrong} of 50,000 claimed wrongly");
    }

    #[test]
    fn each_block_counts_the_ids_before_it() {
        for count in [0, 1, 2, 40, 5_000] {
            // Many blocks in the middle have none.
            let mut has: Vec<u64> =
                hashes().take(count).map(|hash| hash ^ hash >> 62 << 60).collect();
            has.sort_unstable();
            let filter = Filter::of(has.iter().copied());
            let blocks = filter.0.len() as u64;
            for (place, block) in (0..).zip(&filter.0) {
                let before = has.iter().filter(|&&hash| place_of(hash, blocks).0 < place).count();
                assert_eq!(block.ids_before(), before as u64);
            }
        }
    }

    #[test]
    fn a_filter_of_nothing_is_a_block_that_has_nothing() {
        let none = Filter::of([].into_iter());
        assert_eq!(none.to_bytes(), [0; BLOCK_BYTES]);
        let wanted = Wanted::new(7);
        assert!(!none.block(&wanted).unwrap().may_have(&wanted));
    }
}
