//! The cost of one entry before it reaches a backend: hash, serialise, parse.
#![allow(missing_docs)] // criterion's macros generate undocumented functions

use attestry_core::{AuditEntry, Timestamp, create_entry_id, hash_content, line};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn entry() -> AuditEntry {
    AuditEntry {
        provider: Some("openai".into()),
        model: Some("gpt-4o-2024-05-13".into()),
        conversation_id: Some("conversation-0001".into()),
        latency_ms: 250.5,
        input_tokens: Some(374),
        output_tokens: Some(44),
        ..AuditEntry::new(
            create_entry_id(),
            Timestamp::now(),
            hash_content("in"),
            hash_content("out"),
        )
    }
}

fn benches(c: &mut Criterion) {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(43);
    let mut group = c.benchmark_group("entry");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("hash 1.9 KB", |b| b.iter(|| hash_content(std::hint::black_box(&text))));

    let entry = entry();
    let encoded = line::encode(&entry).expect("a plain entry");
    group.throughput(Throughput::Bytes(encoded.len() as u64));
    let mut buffer = Vec::with_capacity(1024);
    group.bench_function("serialise", |b| {
        b.iter(|| {
            buffer.clear();
            line::encode_into(std::hint::black_box(&entry), &mut buffer)
        });
    });
    group.bench_function("parse", |b| b.iter(|| line::decode(std::hint::black_box(&encoded))));
    group.bench_function("create_entry_id", |b| b.iter(create_entry_id));
    group.finish();
}

criterion_group!(entry_benches, benches);
criterion_main!(entry_benches);
