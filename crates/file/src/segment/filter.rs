//! A Bloom filter of ids, in blocks of one cache line: most segments that do not have an id say so
//! without a look at their index.

pub(crate) const BLOCK_BYTES: usize = 64;
const BITS_PER_ID: usize = 10;
const PROBES: u32 = 7;

/// The bytes of a filter for `hashes`.
pub(super) fn build(hashes: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let blocks = (hashes.len() * BITS_PER_ID).div_ceil(BLOCK_BYTES * 8).max(1);
    let mut bytes = vec![0; blocks * BLOCK_BYTES];
    for hash in hashes {
        let start = block_of(hash, blocks) * BLOCK_BYTES;
        for bit in bits(hash) {
            bytes[start + bit / 8] |= 1 << (bit % 8);
        }
    }
    bytes
}

/// Which of `blocks` blocks has the bits of `hash`.
pub(super) fn block_of(hash: u64, blocks: usize) -> usize {
    // The upper half picks the block; `bits` uses all of it, mixed once more.
    ((hash >> 32) as usize * blocks) >> 32
}

/// Whether an id of `hash` may be among those `block` was built for.
pub(super) fn may_contain(block: &[u8], hash: u64) -> bool {
    bits(hash).all(|bit| block[bit / 8] & (1 << (bit % 8)) != 0)
}

fn bits(hash: u64) -> impl Iterator<Item = usize> {
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..PROBES).map(move |probe| (mixed >> (probe * 9)) as usize & (BLOCK_BYTES * 8 - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_denies_what_it_has_and_seldom_claims_what_it_has_not() {
        // SplitMix64: hashes of ids are as evenly spread.
        let mut state = 0u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let hashes: Vec<u64> = (0..50_000).map(|_| next()).collect();
        let bytes = build(hashes.iter().copied());
        let claims = |hash| {
            let start = block_of(hash, bytes.len() / BLOCK_BYTES) * BLOCK_BYTES;
            may_contain(&bytes[start..start + BLOCK_BYTES], hash)
        };
        assert!(hashes.iter().all(|&hash| claims(hash)));
        let wrong = (0..50_000).filter(|_| claims(next())).count();
        assert!(wrong < 1_500, "{wrong} of 50,000 claimed wrongly");
        assert!(
            build(std::iter::empty::<u64>().collect::<Vec<_>>().into_iter()).len() == BLOCK_BYTES
        );
    }
}
