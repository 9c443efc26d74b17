//! The cost of `log` to a bounded in-memory store.
#![allow(missing_docs)] // criterion's macros generate undocumented functions

use std::hint::black_box;

use attestry_logger::{AuditLogger, AuditLoggerBuilder, Interaction};
use attestry_memory::MemoryStorage;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn builder() -> AuditLoggerBuilder<MemoryStorage> {
    AuditLogger::builder(MemoryStorage::with_max_entries(100))
}

fn benches(c: &mut Criterion) {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(22);
    let interaction = || {
        Interaction::new(text.as_str(), text.as_str())
            .provider("openai")
            .model("gpt-4o-2024-05-13")
            .conversation_id("conversation-0001")
            .latency_ms(250.5)
            .input_tokens(374)
            .output_tokens(44)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut loggers = vec![
        ("hash only", builder().build()),
        ("plain content", builder().store_content(true).build()),
    ];
    #[cfg(feature = "encryption")]
    loggers.push((
        "encrypted content",
        builder()
            .store_content(true)
            .encryption(attestry_crypto::EncryptionManager::generate())
            .build(),
    ));

    let mut group = c.benchmark_group("log 2 KB");
    group.throughput(Throughput::Elements(1));
    for (name, logger) in &loggers {
        group.bench_function(*name, |b| {
            b.iter(|| runtime.block_on(logger.log(black_box(interaction()))));
        });
    }
    let logger = builder().build();
    group.bench_function("prepare only", |b| b.iter(|| logger.prepare(black_box(interaction()))));
    group.finish();
}

criterion_group!(log_benches, benches);
criterion_main!(log_benches);
