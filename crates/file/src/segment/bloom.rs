//! A blocked Bloom filter of ids: most segments without an id answer from memory, without a read of their
//! index file.
//!
//! A block is one cache line of eight words. An id sets one bit in each of the first seven. A test compares
//! these seven without a branch.
//!
//! Blocks are in the order of the id hashes. The eighth word, the rank word, counts the ids of the blocks
//! before. It gives the approximate record number of an id in the id section.

use attestry_core::EntryId;
use sha2::{Digest, Sha256};

/// Words in a block, including the rank word.
const WORDS: usize = 8;
const WORD_BYTES: usize = 8;
/// Which word is the rank word.
const RANK: usize = WORDS - 1;
pub(super) const BLOCK_BYTES: usize = WORDS * WORD_BYTES;
/// Including the rank word. One false positive in 270 tests.
const BITS_PER_ID: usize = 14;
/// The same for a filter without ranks, which only saves tests of others. One false positive in 50 tests.
const BITS_PER_ID_WITHOUT_RANK: usize = 10;

/// One cache line of a filter; aligned so that it does not straddle two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Block([u64; WORDS]);

/// The hash of an id, with the bits that it sets in its block of any filter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashedId {
    pub(super) hash: u64,
    bits: Block,
}

/// A filter of at least one block.
#[derive(Debug)]
pub(super) struct BloomFilter(Vec<Block>);

impl HashedId {
    pub(crate) fn new(id: &EntryId) -> Self {
        Self::from_hash(hash_id(id))
    }

    pub(super) fn from_hash(hash: u64) -> Self {
        // Six bits of the hash select the bit of each word, from the lowest up; the top bits select the block.
        let bit = |word| if word == RANK { 0 } else { 1u64 << (hash >> (6 * word) & 63) };
        Self { hash, bits: Block(std::array::from_fn(bit)) }
    }
}

impl Block {
    pub(super) fn from_bytes(bytes: &[u8; BLOCK_BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<WORD_BYTES>();
        Self(std::array::from_fn(|word| u64::from_le_bytes(words[word])))
    }

    /// False if the id is certainly not among those of this block.
    #[inline]
    pub(super) fn may_contain(&self, id: &HashedId) -> bool {
        let missing = |missing, (word, bit): (&u64, &u64)| missing | (bit & !word);
        self.0.iter().zip(&id.bits.0).fold(0, missing) == 0
    }

    /// How many ids are in the blocks before this one.
    pub(super) fn rank(&self) -> u64 {
        self.0[RANK]
    }
}

impl BloomFilter {
    /// Builds the filter of `hashes`, which must be sorted.
    pub(super) fn build(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let blocks = (hashes.len() * BITS_PER_ID).div_ceil(BLOCK_BYTES * 8).max(1);
        let mut filter = vec![Block::default(); blocks];
        let (mut ranked, mut rank) = (0, 0);
        for hash in hashes {
            let number = block_of(hash, blocks as u64).0 as usize;
            // A block with earlier ids keeps its rank.
            while ranked <= number {
                filter[ranked].0[RANK] = rank;
                ranked += 1;
            }
            let bits = HashedId::from_hash(hash).bits;
            filter[number].0.iter_mut().zip(&bits.0).for_each(|(word, bit)| *word |= bit);
            rank += 1;
        }
        filter[ranked..].iter_mut().for_each(|block| block.0[RANK] = rank);
        Self(filter)
    }

    /// Builds a smaller filter of `hashes`, in any order, whose rank words are 0.
    pub(super) fn without_ranks(hashes: &[u64]) -> Self {
        let bits = hashes.len() * BITS_PER_ID_WITHOUT_RANK;
        let blocks = bits.div_ceil(BLOCK_BYTES * 8).max(1);
        let mut filter = vec![Block::default(); blocks];
        for hash in hashes {
            let number = block_of(*hash, blocks as u64).0 as usize;
            let bits = HashedId::from_hash(*hash).bits;
            filter[number].0.iter_mut().zip(&bits.0).for_each(|(word, bit)| *word |= bit);
        }
        Self(filter)
    }

    /// False if the id is certainly not among those of the filter.
    #[inline]
    pub(super) fn may_contain(&self, id: &HashedId) -> bool {
        self.block(id).is_none_or(|block| block.may_contain(id))
    }

    /// How many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.0.len() * BLOCK_BYTES
    }

    /// Decodes what [`to_bytes`](Self::to_bytes) returned.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let (blocks, _) = bytes.as_chunks();
        Self(blocks.iter().map(Block::from_bytes).collect())
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|block| block.0).flat_map(u64::to_le_bytes).collect()
    }

    /// The block of the id; `None` only for a damaged filter without blocks.
    #[inline]
    pub(super) fn block(&self, id: &HashedId) -> Option<&Block> {
        self.0.get(block_of(id.hash, self.0.len() as u64).0 as usize)
    }
}

/// The first 64 bits of the SHA-256 of an id. Part of the index file format; evenly spread for any ids.
pub(super) fn hash_id(id: &EntryId) -> u64 {
    hash_id_text(id.as_str().as_bytes())
}

/// [`hash_id`] of the text of an id.
pub(crate) fn hash_id_text(id: &[u8]) -> u64 {
    let digest = Sha256::digest(id);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// The block of `hash` among `blocks`, and the fraction, in units of 2^-32, of that block's ids which
/// evenly spread hashes put before it.
#[inline]
pub(super) fn block_of(hash: u64, blocks: u64) -> (u64, u64) {
    let position = (hash >> 32) * blocks;
    (position >> 32, position & u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes() -> impl Iterator<Item = u64> {
        // SplitMix64, as evenly spread as hashes of ids.
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
    fn no_false_negatives_and_few_false_positives() {
        let mut all = hashes();
        let mut stored: Vec<u64> = all.by_ref().take(50_000).collect();
        stored.sort_unstable();
        let filter = BloomFilter::build(stored.iter().copied());
        let filter = BloomFilter::from_bytes(&filter.to_bytes());
        let others: Vec<u64> = all.take(50_000).collect();
        for (filter, most) in [(filter, 250), (BloomFilter::without_ranks(&stored), 1_100)] {
            let may_contain = |hash: &u64| filter.may_contain(&HashedId::from_hash(*hash));
            assert!(stored.iter().all(may_contain));
            let false_positives = others.iter().filter(|hash| may_contain(hash)).count();
            assert!(false_positives < most, "{false_positives} of 50,000");
        }
    }

    #[test]
    fn rank_word_counts_the_ids_of_earlier_blocks() {
        for count in [0, 1, 2, 40, 5_000] {
            // The middle half of the blocks is empty.
            let mut stored: Vec<u64> =
                hashes().take(count).map(|hash| hash ^ hash >> 62 << 60).collect();
            stored.sort_unstable();
            let filter = BloomFilter::build(stored.iter().copied());
            let blocks = filter.0.len() as u64;
            for (number, block) in (0..).zip(&filter.0) {
                let before = stored.iter().filter(|&&hash| block_of(hash, blocks).0 < number);
                assert_eq!(block.rank(), before.count() as u64);
            }
        }
    }

    #[test]
    fn empty_filter_is_one_empty_block() {
        let empty = BloomFilter::build([].into_iter());
        assert_eq!(empty.to_bytes(), [0; BLOCK_BYTES]);
        let id = HashedId::from_hash(7);
        assert!(!empty.block(&id).unwrap().may_contain(&id));
    }
}
