//! Benchmarks of appending to the tree, creating and verifying proofs, and signing.
#![allow(missing_docs)] // criterion's macros make undocumented functions

use std::hint::black_box;

use attestry_evidence::{
    Audit, Hash, MemoryTiles, Policy, SigningKey, Tree, leaf_hash, line_hash, proof,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const LEAVES: u64 = 1 << 16;

fn leaves() -> Vec<Hash> {
    (0..LEAVES).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect()
}

fn growing(c: &mut Criterion) {
    let line = vec![b'x'; 500];
    let mut group = c.benchmark_group("a line");
    group.throughput(Throughput::Bytes(line.len() as u64));
    group.bench_function("hash 500 bytes", |b| b.iter(|| line_hash(black_box(&line))));
    group.finish();

    let leaves = leaves();
    let mut group = c.benchmark_group("64 Ki leaves");
    group.throughput(Throughput::Elements(LEAVES));
    group.bench_function("push", |b| {
        b.iter(|| {
            let mut tree = Tree::new();
            let mut stored = 0;
            for leaf in &leaves {
                tree.push_with(*leaf, |_| stored += 1);
            }
            (tree.root(), stored)
        });
    });
    group.bench_function("audit", |b| {
        b.iter(|| {
            let mut audit = Audit::new([]);
            leaves.iter().for_each(|leaf| audit.line(*leaf));
            audit.finish()
        });
    });
    group.finish();
}

fn proving(c: &mut Criterion) {
    let leaves = leaves();
    let mut tiles = MemoryTiles::new();
    tiles.extend(leaves.iter().copied());
    let (size, root) = (LEAVES, tiles.tree().root());
    let (index, old) = (12_345, 54_321);
    let old_root = {
        let mut tree = Tree::new();
        tree.extend(leaves.iter().copied().take(old as usize));
        tree.root()
    };
    let mut group = c.benchmark_group("proof in 64 Ki leaves");
    let inclusion = proof::inclusion(index, size, &mut &tiles).expect("the leaf is there");
    group.bench_function("inclusion", |b| {
        b.iter(|| proof::inclusion(black_box(index), size, &mut &tiles));
    });
    group.bench_function("verify inclusion", |b| {
        let leaf = leaves[index as usize];
        b.iter(|| proof::verify_inclusion(black_box(leaf), index, size, &inclusion, root));
    });
    let consistency = proof::consistency(old, size, &mut &tiles).expect("it grew");
    group.bench_function("consistency", |b| {
        b.iter(|| proof::consistency(black_box(old), size, &mut &tiles));
    });
    group.bench_function("verify consistency", |b| {
        b.iter(|| proof::verify_consistency(black_box(old), old_root, size, root, &consistency));
    });
    group.bench_function("restore", |b| b.iter(|| Tree::restore(black_box(old), &mut &tiles)));
    group.finish();
}

fn signing(c: &mut Criterion) {
    let key = SigningKey::from_seed("example.com/log", &[7; 32]).expect("a name");
    let policy = Policy::new(key.public());
    let signed = key.sign(1, leaf_hash(b""));
    let mut group = c.benchmark_group("checkpoint");
    group.bench_function("sign", |b| b.iter(|| key.sign(black_box(1), Hash::EMPTY_TREE)));
    group.bench_function("open", |b| b.iter(|| policy.open(black_box(&signed))));
    group.finish();
}

criterion_group!(evidence_benches, growing, proving, signing);
criterion_main!(evidence_benches);
