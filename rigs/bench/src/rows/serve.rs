//! OTLP over HTTP, compared with a server that appends raw bodies.

use std::hint::black_box;
use std::time::Duration;

use attestry::AuditLogger;
use attestry::line;
use attestry::memory::MemoryStorage;
use attestry_genai::{UnmappedTexts, decode_traces};

use crate::report::Row;
use crate::rig::Rig;
use crate::server::{Loaded, Running, Template};
use crate::stats::{Figure, micros, quantile, to_f64};
use crate::{Result, plain, remove};

/// Spans of about 2 KB in a request.
const SPANS: usize = 100;
const CONNECTIONS: usize = 16;
/// One measurement.
const TIME: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Samples {
    rates: Vec<f64>,
    cpu: Vec<f64>,
    single: Vec<f64>,
    overload: Vec<f64>,
    peak_mib: f64,
    refused: u64,
}

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let (mut ours, mut floor, mut loops) = (Samples::default(), Samples::default(), Vec::new());
    for _ in 0..rig.rounds {
        measure(rig, "serve", &mut ours)?;
        measure(rig, "serve-floor", &mut floor)?;
        loops.push(plain_loop()?);
    }
    let rate = |samples: &Samples| Figure::of(&samples.rates, "spans/s");
    let bodies = "an axum server that appends raw bodies with group commit";
    let throughput = Row::new(
        "serve",
        "OTLP/HTTP protobuf, 100 spans of 2 KB a request, 16 connections",
        rate(&ours),
    )
    .against(bodies, rate(&floor))
    .ratio_at_least(0.3);
    let cpu = Row::new("serve", "the same: CPU per span", Figure::of(&ours.cpu, "µs"))
        .against("decode, hash and line in a plain loop", Figure::of(&loops, "µs"))
        .ratio_at_most(2.0)
        .note(format!("of the raw bodies {:.1} µs", crate::stats::median(&floor.cpu)));
    let single = Row::new(
        "serve",
        "one span a request, one connection, p50",
        Figure::of(&ours.single, "µs"),
    )
    .against(bodies, Figure::of(&floor.single, "µs"))
    .ratio_at_most(2.0);
    let overload =
        Row::new("serve", "acknowledged on 64 connections", Figure::of(&ours.overload, "spans/s"))
            .against("on 16 connections", rate(&ours))
            .ratio_at_least(0.8)
            .note(format!("{} requests refused", ours.refused));
    let memory =
        Row::new("serve", "peak resident memory of the server", Figure::one(ours.peak_mib, "MiB"))
            .under(150.0);
    Ok(vec![throughput, cpu, single, overload, memory])
}

fn measure(rig: &Rig, mode: &str, samples: &mut Samples) -> Result<()> {
    let path = rig.fresh("serve")?;
    let server = Running::start(mode, &path)?;
    server.load(CONNECTIONS, SPANS, WARM_UP)?;
    let before = server.cpu()?;
    let loaded = server.load(CONNECTIONS, SPANS, TIME)?;
    let cpu = server.cpu()?.saturating_sub(before);
    samples.cpu.push(micros(cpu) / to_f64(loaded.spans));
    samples.rates.push(loaded.rate());
    let single: Loaded = server.load(1, 1, TIME / 4)?;
    samples.single.push(quantile(&single.latencies, 0.5));
    let overload = server.load(4 * CONNECTIONS, SPANS, TIME)?;
    samples.overload.push(overload.rate());
    samples.refused += overload.refused;
    samples.peak_mib = samples.peak_mib.max(server.peak_mib()?);
    drop(server);
    remove(&path)
}

/// CPU microseconds per span of what is unavoidable.
fn plain_loop() -> Result<f64> {
    let logger = AuditLogger::builder(MemoryStorage::new()).store_content(true).build();
    let (template, mut buffer) = (Template::new(SPANS), Vec::new());
    let mut body = template.bytes.clone();
    let each = plain::each(200, |number| {
        template.number(&mut body, (number * SPANS) as u64 + 1);
        for record in decode_traces(&body)?.records {
            let entry = logger.prepare(record.into_interaction(UnmappedTexts::Keep))?;
            buffer.clear();
            line::encode_into(&entry, &mut buffer)?;
            black_box(&mut buffer);
        }
        Ok(())
    })?;
    Ok(each / SPANS as f64)
}
