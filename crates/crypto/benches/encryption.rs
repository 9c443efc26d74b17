//! Encryption of one content, compared with the plain `fernet` crate.
#![allow(missing_docs)] // criterion's macros make undocumented functions

use std::hint::black_box;

use attestry_crypto::{EncryptionManager, Key, decrypt, encrypt, looks_encrypted};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn benches(c: &mut Criterion) {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(43);
    let key = Key::generate();
    let manager = EncryptionManager::new(key.clone());
    let fernet = fernet::Fernet::new(key.expose_secret()).expect("a key");

    let mut group = c.benchmark_group("encrypt 1.9 KB");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("fernet", |b| b.iter(|| fernet.encrypt(black_box(text.as_bytes()))));
    group.bench_function("token", |b| b.iter(|| encrypt(black_box(&text), &key)));
    group.bench_function("manager", |b| b.iter(|| manager.encrypt(black_box(&text))));
    group.finish();

    let token = encrypt(&text, &key);
    let stored = manager.encrypt(&text);
    let several = EncryptionManager::with_keys(Key::generate(), [Key::generate(), key.clone()]);
    let mut group = c.benchmark_group("decrypt 1.9 KB");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("fernet", |b| b.iter(|| fernet.decrypt(black_box(&token))));
    group.bench_function("token", |b| b.iter(|| decrypt(black_box(&token), &key)));
    group.bench_function("manager", |b| b.iter(|| manager.decrypt(black_box(&stored))));
    group.bench_function("third of three keys", |b| b.iter(|| several.decrypt(black_box(&stored))));
    group.bench_function("looks_encrypted", |b| b.iter(|| looks_encrypted(black_box(&stored))));
    group
        .bench_function("looks_encrypted, plain", |b| b.iter(|| looks_encrypted(black_box(&text))));
    group.finish();
}

criterion_group!(encryption_benches, benches);
criterion_main!(encryption_benches);
