//! OTLP over HTTP, compared with a server that appends raw bodies and with other receivers.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use attestry::AuditLogger;
use attestry::line;
use attestry::memory::MemoryStorage;
use attestry_genai::{UnmappedTexts, decode_traces};

use crate::peers::receivers::Receiver;
use crate::report::{Row, grouped};
use crate::rig::Rig;
use crate::server::{self, Running, Template};
use crate::stats::{Figure, median, micros, quantile, to_f64};
use crate::{Result, fresh_folder, plain, remove};

/// Spans of about 2 KB in a request.
const SPANS: usize = 100;
const CONNECTIONS: usize = 16;
/// One measurement.
const TIME: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_millis(500);

/// Each with a request of 200 kB: more than the server holds at the same time, so that it refuses some.
const FLOOD: usize = 1024;

#[derive(Default)]
struct Samples {
    rates: Vec<f64>,
    cpu: Vec<f64>,
    single: Vec<f64>,
    overload: Vec<f64>,
    flood: Vec<f64>,
    peak_mib: f64,
    peak_of_flood_mib: f64,
    refused: u64,
    acknowledged: u64,
}

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let Some(attestry) = rig.attestry.clone() else {
        eprintln!("  left out: it needs --attestry, which `cargo xtask bench` gives");
        return Ok(Vec::new());
    };
    let (mut ours, mut floor, mut loops) = (Samples::default(), Samples::default(), Vec::new());
    for _ in 0..rig.rounds {
        measure(rig, Some(&attestry), &mut ours)?;
        measure(rig, None, &mut floor)?;
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
    .ratio_at_least(0.3)
    .note(format!(
        "{} spans acknowledged in all, stored after SIGKILL: all",
        grouped(ours.acknowledged)
    ));
    let cpu = Row::new("serve", "the same: CPU per span", Figure::of(&ours.cpu, "µs"))
        .against("decode, hash and line in a plain loop", Figure::of(&loops, "µs"))
        .ratio_at_most(2.0)
        .note(format!("of the raw bodies {:.1} µs", median(&floor.cpu)));
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
            .ratio_at_least(0.8);
    let memory =
        Row::new("serve", "peak resident memory of the server", Figure::one(ours.peak_mib, "MiB"))
            .under(150.0);
    let flood = Row::new(
        "serve",
        format!("acknowledged on {FLOOD} connections"),
        Figure::of(&ours.flood, "spans/s"),
    )
    .against("on 16 connections", rate(&ours))
    .ratio_at_least(0.8)
    .note(format!(
        "{} requests refused, peak {:.0} MiB",
        grouped(ours.refused),
        ours.peak_of_flood_mib
    ));
    let mut rows = vec![throughput, cpu, single, overload, memory, flood];
    for receiver in &rig.receivers {
        rows.push(other_receiver(rig, receiver, &rate(&ours))?);
    }
    Ok(rows)
}

/// Loads the server of a program, or the floor.
fn measure(rig: &Rig, attestry: Option<&Path>, samples: &mut Samples) -> Result<()> {
    let path = rig.fresh("serve")?;
    let server = match attestry {
        Some(attestry) => Running::start(attestry, &path)?,
        None => Running::start_floor(&path)?,
    };
    let warm_up = server.load(CONNECTIONS, SPANS, WARM_UP)?;
    let before = server.cpu()?;
    let loaded = server.load(CONNECTIONS, SPANS, TIME)?;
    let cpu = server.cpu()?.saturating_sub(before);
    samples.cpu.push(micros(cpu) / to_f64(loaded.spans));
    samples.rates.push(loaded.rate());
    let single = server.load(1, 1, TIME / 4)?;
    samples.single.push(quantile(&single.latencies, 0.5));
    let overload = server.load(4 * CONNECTIONS, SPANS, TIME)?;
    samples.overload.push(overload.rate());
    samples.peak_mib = samples.peak_mib.max(server.peak_mib()?);
    let mut acknowledged = warm_up.spans + loaded.spans + single.spans + overload.spans;
    if attestry.is_some() {
        let flood = server.load(FLOOD, SPANS, TIME)?;
        samples.flood.push(flood.rate());
        samples.refused += flood.refused;
        samples.peak_of_flood_mib = samples.peak_of_flood_mib.max(server.peak_mib()?);
        acknowledged += flood.spans;
    }
    drop(server);
    if attestry.is_some() {
        let stored = server::stored(&path)?;
        if stored < acknowledged {
            return Err(format!("of {acknowledged} acknowledged spans {stored} are stored").into());
        }
    }
    samples.acknowledged += acknowledged;
    remove(&path)
}

/// The same load on another receiver, for longer: the first answers may take that long.
fn other_receiver(rig: &Rig, receiver: &Receiver, ours: &Figure) -> Result<Row> {
    let folder = fresh_folder(rig.path("receiver"))?;
    let server = Running::start_peer(receiver, &folder)?;
    let warm_up = server.load(1, 1, WARM_UP)?;
    let loaded = server.load(CONNECTIONS, SPANS, 5 * TIME)?;
    let single = server.load(1, 1, TIME)?;
    drop(server);
    let acknowledged = warm_up.spans + loaded.spans + single.spans;
    let stored = receiver.stored(&folder)?;
    remove(&folder)?;
    Ok(Row::new("serve", "the same load on another receiver", ours.clone())
        .against(receiver.name, Figure::one(loaded.rate(), "spans/s"))
        .ratio_at_least(20.0)
        .note(format!(
            "{} spans acknowledged, {} stored after SIGKILL, {} requests refused; one span a request: p50 {:.1} ms",
            grouped(acknowledged),
            grouped(stored),
            grouped(loaded.refused),
            quantile(&single.latencies, 0.5) / 1e3
        )))
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
