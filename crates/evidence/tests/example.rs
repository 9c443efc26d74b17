//! The files under `vectors/example`, which `docs/evidence.md` verifies with other tools, match this crate.
#![allow(clippy::unwrap_used)] // helpers outside of the test functions

use attestry_evidence::{
    ConsistencyProof, InclusionProof, MemoryTiles, Policy, SigningKey, Tree, line_hash, proof,
};

const LINE: &str = include_str!("vectors/example/entry.jsonl");

fn key() -> SigningKey {
    SigningKey::from_seed("example.com/audit", &[7; 32]).unwrap()
}

/// A log of 500 lines. The entry of the example is number 321.
fn tiles() -> MemoryTiles {
    let line = |number: u64| LINE.replace("entry-321", &format!("entry-{number}"));
    let mut tiles = MemoryTiles::new();
    tiles.extend((0..500).map(|number| line_hash(line(number).as_bytes()).unwrap()));
    tiles
}

#[test]
fn public_key_file_matches() {
    assert_eq!(format!("{}\n", key().public()), include_str!("vectors/example/audit.pub"));
}

#[test]
fn inclusion_proof_file_matches() {
    let tiles = tiles();
    let path = proof::inclusion(321, 500, &mut &tiles).unwrap();
    let signed = key().sign(500, tiles.tree().root());
    let file = include_str!("vectors/example/entry.tlog-proof");
    assert_eq!(InclusionProof::new(321, path, signed).to_string(), file);

    let policy = Policy::new(include_str!("vectors/example/audit.pub").trim_end().parse().unwrap());
    let proof: InclusionProof = file.parse().unwrap();
    assert!(proof.verify(line_hash(LINE.as_bytes()).unwrap(), &policy).is_ok());
}

#[test]
fn consistency_proof_files_match() {
    let tiles = tiles();
    let older = Tree::restore(300, &mut &tiles).unwrap();
    let kept = key().sign(300, older.root());
    assert_eq!(kept.as_str(), include_str!("vectors/example/older.checkpoint"));

    let path = proof::consistency(300, 500, &mut &tiles).unwrap();
    let signed = key().sign(500, tiles.tree().root());
    let file = include_str!("vectors/example/newer.consistency");
    assert_eq!(ConsistencyProof::new(300, path, signed).to_string(), file);

    let policy = Policy::new(key().public());
    let kept = policy.open(&kept).unwrap();
    let proof: ConsistencyProof = file.parse().unwrap();
    assert_eq!(proof.verify(kept.checkpoint(), &policy).unwrap().checkpoint().size(), 500);
}
