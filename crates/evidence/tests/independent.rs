//! Comparison with the implementations `ct-merkle` and `tlog_tiles`, for all small and some large trees.
#![allow(clippy::unwrap_used)] // helpers outside of the test functions

use std::collections::HashMap;
use std::sync::LazyLock;

use attestry_evidence::{
    Hash, MemoryTiles, ProofError, ReadHashes, Tile, Tree, TreeError, leaf_hash, proof,
};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use tlog_tiles::tlog;

fn data(leaf: u64) -> Vec<u8> {
    format!("leaf {leaf}").into_bytes()
}

fn ours(size: u64) -> MemoryTiles {
    let mut tiles = MemoryTiles::new();
    tiles.extend((0..size).map(|leaf| leaf_hash(&data(leaf))));
    tiles
}

fn root(size: u64) -> Hash {
    let mut tree = Tree::new();
    tree.extend((0..size).map(|leaf| leaf_hash(&data(leaf))));
    tree.root()
}

fn theirs(hash: Hash) -> tlog::Hash {
    tlog::Hash(*hash.as_bytes())
}

fn concat(path: &[Hash]) -> Vec<u8> {
    path.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Variants of `path` that are wrong in one way each.
fn spoiled(path: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = vec![[path, &[Hash::EMPTY_TREE]].concat()];
    for i in 0..path.len() {
        let mut other = path.to_vec();
        other[i] = leaf_hash(path[i].as_bytes());
        all.push(other);
        let mut shorter = path.to_vec();
        shorter.remove(i);
        all.push(shorter);
        if i > 0 {
            let mut swapped = path.to_vec();
            swapped.swap(i - 1, i);
            all.push(swapped);
        }
    }
    all
}

#[test]
fn inclusion_proofs_of_small_trees_agree() {
    let tiles = ours(40);
    let mut ct = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for size in 1..=40 {
        ct.push(data(size - 1));
        let root = root(size);
        assert_eq!(ct.root().as_bytes().as_slice(), root.as_bytes());
        for index in 0..size {
            let path = proof::inclusion(index, size, &mut &tiles).unwrap();
            let leaf = leaf_hash(&data(index));
            assert_eq!(concat(&path), ct.prove_inclusion(index as usize).as_bytes());
            let listed = path.iter().map(|hash| theirs(*hash)).collect();
            tlog::check_record(&listed, size, theirs(root), index, theirs(leaf)).unwrap();
            proof::verify_inclusion(leaf, index, size, &path, root).unwrap();
            for wrong in spoiled(&path) {
                assert!(proof::verify_inclusion(leaf, index, size, &wrong, root).is_err());
            }
            for other in (0..size).filter(|other| *other != index) {
                assert!(proof::verify_inclusion(leaf, other, size, &path, root).is_err());
            }
        }
    }
}

#[test]
fn consistency_proofs_of_small_trees_agree() {
    let tiles = ours(70);
    let mut ct = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let roots: Vec<Hash> = (0..=70).map(root).collect();
    for new in 1..=70 {
        ct.push(data(new - 1));
        let new_root = roots[new as usize];
        for old in 1..=new {
            let old_root = roots[old as usize];
            let path = proof::consistency(old, new, &mut &tiles).unwrap();
            assert_eq!(concat(&path), ct.prove_consistency((new - old) as usize).as_bytes());
            let listed = path.iter().map(|hash| theirs(*hash)).collect();
            tlog::check_tree(&listed, new, theirs(new_root), old, theirs(old_root)).unwrap();
            proof::verify_consistency(old, old_root, new, new_root, &path).unwrap();
            for wrong in spoiled(&path) {
                assert!(proof::verify_consistency(old, old_root, new, new_root, &wrong).is_err());
            }
            let another = leaf_hash(b"another");
            assert!(proof::verify_consistency(old, another, new, new_root, &path).is_err());
            assert!(proof::verify_consistency(old, old_root, new, another, &path).is_err());
        }
    }
}

#[test]
fn empty_and_shrunk_trees() {
    let tiles = ours(5);
    assert_eq!(proof::consistency(0, 5, &mut &tiles), Ok(Vec::new()));
    assert_eq!(proof::verify_consistency(0, Hash::EMPTY_TREE, 5, root(5), &[]), Ok(()));
    assert_eq!(proof::verify_consistency(0, Hash::EMPTY_TREE, 0, Hash::EMPTY_TREE, &[]), Ok(()));
    let not_consistent = |old, new| Err(ProofError::NotConsistent { old, new });
    assert_eq!(proof::verify_consistency(0, root(1), 5, root(5), &[]), not_consistent(0, 5));
    assert_eq!(proof::verify_consistency(0, root(1), 0, root(1), &[]), not_consistent(0, 0));
    assert_eq!(
        proof::verify_consistency(0, Hash::EMPTY_TREE, 0, root(1), &[]),
        not_consistent(0, 0)
    );

    assert_eq!(proof::consistency(5, 4, &mut &tiles), Err(TreeError::Shrunk { old: 5, new: 4 }));
    let shrunk = ProofError::Shrunk { old: 5, new: 4 };
    assert_eq!(proof::verify_consistency(5, root(5), 4, root(4), &[]), Err(shrunk));
    let no_leaf = TreeError::NoSuchLeaf { index: 5, size: 5 };
    assert_eq!(proof::inclusion(5, 5, &mut &tiles), Err(no_leaf));
    let no_leaf = ProofError::NoSuchLeaf { index: 0, size: 0 };
    assert_eq!(proof::verify_inclusion(root(1), 0, 0, &[], Hash::EMPTY_TREE), Err(no_leaf));
    let too_large = TreeError::TooLarge { size: u64::MAX };
    assert_eq!(proof::inclusion(5, u64::MAX, &mut &tiles), Err(too_large));
    assert!(matches!(proof::inclusion(5, 6000, &mut &tiles), Err(TreeError::Read(_))));
}

/// The tiles of a tree by path, as on a server.
fn files(tiles: &MemoryTiles) -> HashMap<String, Vec<u8>> {
    Tile::of_tree(0, tiles.tree().size())
        .map(|tile| {
            let mut hashes = vec![Hash::EMPTY_TREE; usize::from(tile.width())];
            for (i, hash) in hashes.iter_mut().enumerate() {
                let mut one = [Hash::EMPTY_TREE];
                (&mut &*tiles)
                    .read_hashes(tile.level(), tile.first_hash() + i as u64, &mut one)
                    .unwrap();
                *hash = one[0];
            }
            (tile.to_string(), concat(&hashes))
        })
        .collect()
}

struct Server<'a>(&'a HashMap<String, Vec<u8>>);

impl tlog_tiles::TileReader for Server<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        // `tlog_tiles` uses Go's path, which contains the height; C2SP omits it.
        let path = |tile: &tlog_tiles::Tile| tile.path().replacen("tile/8/", "tile/", 1);
        Ok(tiles.iter().map(|tile| self.0[&path(tile)].clone()).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

#[test]
fn tiles_are_read_by_another_client() {
    for size in [1, 255, 256, 257, 600, 70_000] {
        let tiles = ours(size);
        let files = files(&tiles);
        let root = tiles.tree().root();
        // The client verifies every tile against the root.
        let server = Server(&files);
        let client = tlog_tiles::TileHashReader::new(size, theirs(root), &server);
        assert!(tlog::tree_hash(size, &client).unwrap() == theirs(root));
        for index in [0, size / 3, size / 2, size - 1] {
            let path: Vec<Hash> = proof::inclusion(index, size, &mut &tiles).unwrap();
            let other = tlog::prove_record(size, index, &client).unwrap();
            assert!(path.iter().map(|hash| theirs(*hash)).eq(other));
            let path = proof::consistency(index + 1, size, &mut &tiles).unwrap();
            let other = tlog::prove_tree(size, index + 1, &client).unwrap();
            assert!(path.iter().map(|hash| theirs(*hash)).eq(other));
        }
        let sizes = tlog_tiles::Tile::new_tiles(8, 0, size);
        assert_eq!(sizes.len(), files.len());
    }
}

#[test]
fn restored_tree_can_be_extended() {
    let tiles = ours(70_000);
    for size in [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 70_000] {
        let mut tree = Tree::restore(size, &mut &tiles).unwrap();
        assert_eq!((tree.size(), tree.root()), (size, root(size)));
        tree.extend((size..70_000).map(|leaf| leaf_hash(&data(leaf))));
        assert_eq!(tree.root(), tiles.tree().root());
    }
    assert!(matches!(Tree::restore(70_001, &mut &tiles), Err(TreeError::Read(_))));
    assert!(matches!(Tree::restore(u64::MAX, &mut &tiles), Err(TreeError::TooLarge { .. })));
}

#[test]
fn reader_errors_pass_through_and_ranges_are_small() {
    let tiles = ours(70_000);
    let mut most = 0;
    let mut reader = |level: u8, first: u64, out: &mut [Hash]| {
        most = most.max(out.len());
        assert_eq!(first / 256, (first + out.len() as u64 - 1) / 256, "one tile at a time");
        if level == 1 {
            Err(std::io::Error::other("gone"))
        } else {
            (&tiles).read_hashes(level, first, out).map_err(std::io::Error::other)
        }
    };
    assert!(proof::inclusion(60_000, 60_100, &mut reader).is_err_and(
        |error| matches!(error, TreeError::Read(source) if source.to_string() == "gone")
    ));
    proof::inclusion(0, 256, &mut reader).unwrap();
    assert_eq!(most, 128);
}

/// One tree; smaller trees are prefixes of it.
static TILES: LazyLock<MemoryTiles> = LazyLock::new(|| ours(70_000));

proptest! {
    #[test]
    fn proofs_of_large_trees_agree(size in 1..70_000_u64, at in 0.0..1.0_f64) {
        let tiles = &*TILES;
        let index = (size as f64 * at) as u64;
        let root = Tree::restore(size, &mut &*tiles).unwrap().root();
        let path = proof::inclusion(index, size, &mut &*tiles).unwrap();
        let listed = path.iter().map(|hash| theirs(*hash)).collect();
        let leaf = leaf_hash(&data(index));
        prop_assert!(tlog::check_record(&listed, size, theirs(root), index, theirs(leaf)).is_ok());
        prop_assert_eq!(proof::verify_inclusion(leaf, index, size, &path, root), Ok(()));

        let old = index + 1;
        let old_root = Tree::restore(old, &mut &*tiles).unwrap().root();
        let path = proof::consistency(old, size, &mut &*tiles).unwrap();
        let listed = path.iter().map(|hash| theirs(*hash)).collect();
        prop_assert!(tlog::check_tree(&listed, size, theirs(root), old, theirs(old_root)).is_ok());
        prop_assert_eq!(proof::verify_consistency(old, old_root, size, root, &path), Ok(()));
    }

    #[test]
    fn verification_never_panics(
        numbers in any::<(u64, u64)>(),
        path in prop::collection::vec(any::<[u8; 32]>().prop_map(Hash::from_bytes), 0..70),
    ) {
        let (a, b) = numbers;
        let hash = Hash::EMPTY_TREE;
        prop_assert!(proof::verify_inclusion(hash, a, b, &path, leaf_hash(b"")).is_err());
        prop_assert!(proof::verify_consistency(a, hash, b, leaf_hash(b""), &path).is_err() || a == 0);
    }

    #[test]
    fn tile_paths_agree(level in 0..64_u8, index in 0..u64::from(u32::MAX), width in 1..=256_u32) {
        let path = tlog_tiles::Tile::new(8, level, index, width, false).path();
        let path = path.replacen("tile/8/", "tile/", 1);
        let tile: Tile = path.parse().unwrap();
        prop_assert_eq!((tile.level(), tile.index(), u32::from(tile.width())), (level, index, width));
        prop_assert_eq!(tile.to_string(), path);
    }
}
