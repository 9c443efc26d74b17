//! Published values: the reference tree of Certificate Transparency, and a real log.
#![allow(clippy::unwrap_used)] // helpers outside of the test functions

use attestry_evidence::{Hash, MemoryTiles, ProofError, leaf_hash, proof};

/// The leaves of the reference tests of RFC 6962.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn hash(hex: &str) -> Hash {
    Hash::from_bytes(bytes(hex).try_into().unwrap())
}

fn reference() -> MemoryTiles {
    let mut tiles = MemoryTiles::new();
    tiles.extend(LEAVES.iter().map(|leaf| leaf_hash(&bytes(leaf))));
    tiles
}

#[test]
fn roots_match_reference() {
    let mut tiles = MemoryTiles::new();
    assert_eq!(format!("{:x}", tiles.tree().root()), ROOTS[0]);
    for (leaf, root) in LEAVES.iter().zip(&ROOTS[1..]) {
        tiles.push(leaf_hash(&bytes(leaf)));
        assert_eq!(format!("{:x}", tiles.tree().root()), *root);
    }
}

#[test]
fn inclusion_proofs_match_reference() {
    for (index, size, path) in [
        (0, 1, &[][..]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
    ] {
        let path: Vec<Hash> = path.iter().map(|hex| hash(hex)).collect();
        assert_eq!(proof::inclusion(index, size, &mut &reference()).as_ref(), Ok(&path));
        let leaf = leaf_hash(&bytes(LEAVES[index as usize]));
        let root = hash(ROOTS[size as usize]);
        assert_eq!(proof::verify_inclusion(leaf, index, size, &path, root), Ok(()));
    }
}

#[test]
fn consistency_proofs_match_reference() {
    for (old, new, path) in [
        (1, 1, &[][..]),
        (
            2,
            8,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
    ] {
        let path: Vec<Hash> = path.iter().map(|hex| hash(hex)).collect();
        assert_eq!(proof::consistency(old, new, &mut &reference()).as_ref(), Ok(&path));
        let (old_root, new_root) = (hash(ROOTS[old as usize]), hash(ROOTS[new as usize]));
        assert_eq!(proof::verify_consistency(old, old_root, new, new_root, &path), Ok(()));
    }
}

fn path(lines: &str) -> Vec<Hash> {
    lines.lines().map(|line| line.parse().unwrap()).collect()
}

/// The README of `vectors` names the source of its files.
#[test]
fn proofs_of_a_real_ct_log_verify() {
    let (size, root) =
        (961_984_011, "AWxD3p811N3m4WTinWRXPvBZHfT9IR9g/R4C7SKLPiU=".parse().unwrap());

    let inclusion = path(include_str!("vectors/argon2020-inclusion.txt"));
    let leaf = "nCs3mfIydh9x4CKyQ+u2xtmpxmFggA5MLymHwNQSlLg=".parse().unwrap();
    assert_eq!(proof::verify_inclusion(leaf, 10_000, size, &inclusion, root), Ok(()));
    assert!(matches!(
        proof::verify_inclusion(leaf, 10_001, size, &inclusion, root),
        Err(ProofError::NotIncluded { .. })
    ));

    let consistency = path(include_str!("vectors/argon2020-consistency.txt"));
    let (old, old_root) =
        (3_654_490, "AuIZ5V6sDUj1vn3Y1K85oOaQ7y+FJJKtyRTl1edIKBQ=".parse().unwrap());
    assert_eq!(proof::verify_consistency(old, old_root, size, root, &consistency), Ok(()));
    assert_eq!(
        proof::verify_consistency(old, leaf, size, root, &consistency),
        Err(ProofError::NotConsistent { old, new: size })
    );
}
