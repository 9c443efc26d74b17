//! The cost of evidence for `log`, the speed of verification, and the time of a proof.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use attestry::evidence::{
    EvidenceOptions, Policy, SigningKey, VerifyOptions, leaf_hash, line_hash,
};
use attestry::file::FileStorage;
use attestry::{AuditLogger, EntryId, Query, StorageBackend};
use futures_util::TryStreamExt;

use super::durable::COUNT;
use crate::child::log_many;
use crate::report::{Row, grouped};
use crate::rig::Rig;
use crate::stats::{Figure, median, micros, rate, to_f64};
use crate::{Result, plain, remove};

/// Maximum number of verified entries.
const VERIFIED: u64 = 1_000_000;

/// Entries per round of R.
const IN_LIMIT: usize = 100_000;

/// Proofs per round.
const PROOFS: usize = 300;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let mut rows = vec![log_row(rig)?];
    rows.extend(verify_rows(rig)?);
    Ok(rows)
}

fn key() -> Result<SigningKey> {
    Ok(SigningKey::from_seed("bench.example/audit", &[7; 32])?)
}

fn log_row(rig: &Rig) -> Result<Row> {
    let (mut with, mut without, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rig.rounds.max(5) {
        // The first affects the disk for the second, so the order alternates.
        for evidence in [round % 2 == 0, round % 2 == 1] {
            let figure = log(rig, evidence)?;
            if evidence { &mut with } else { &mut without }.push(figure);
        }
        let path = rig.fresh("evidence.jsonl")?;
        let took = plain::durable_batches(&path, &rig.workload, IN_LIMIT, plain::BATCH)?;
        batches.push(rate(IN_LIMIT as u64, took));
        remove(&path)?;
    }
    Ok(Row::new("evidence", "durable log with evidence, 256 tasks", Figure::of(&with, "entries/s"))
        .against("without", Figure::of(&without, "entries/s"))
        .limit("R", Some(&Figure::of(&batches, "entries/s")))
        .ratio_at_least(0.9))
}

/// Entries per second of 256 tasks, including due checkpoints.
fn log(rig: &Rig, evidence: bool) -> Result<f64> {
    const TASKS: usize = 256;
    let count = COUNT;
    let (path, workload) = (rig.fresh("durable")?, Arc::clone(&rig.workload));
    let folder = path.clone();
    let took = rig.run(async move {
        let mut builder = FileStorage::builder(&folder);
        if evidence {
            builder = builder.evidence(EvidenceOptions::new(key()?));
        }
        let logger = AuditLogger::builder(builder.open().await?).build();
        log_many(&logger, &workload, TASKS, plain::warm_up(count / TASKS)).await?;
        let start = Instant::now();
        log_many(&logger, &workload, TASKS, count / TASKS).await?;
        let took = start.elapsed();
        logger.close().await?;
        Ok(took)
    })?;
    remove(&path)?;
    Ok(rate(count as u64, took))
}

fn verify_rows(rig: &mut Rig) -> Result<Vec<Row>> {
    let entries = rig.entries().min(VERIFIED);
    let store = rig.another_store("evidence", entries)?;
    let (path, rotation, bytes) = (store.path.clone(), store.rotation, to_f64(store.bytes));
    let ids = store.sample_ids(PROOFS)?;
    let adopted = rig.run(adopt(path.clone(), rotation))?;
    let (mut verified, mut hashed, mut proofs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rig.rounds {
        hashed.push(hash(rig, &path)?);
        verified.push(bytes / 1e6 / rig.run(verify(path.clone(), entries))?);
        proofs.push(rig.run(prove(path.clone(), ids.clone()))?);
    }
    remove(&path)?;
    let of = format!("{} entries", grouped(entries));
    let hashed = Figure::of(&hashed, "MB/s");
    Ok(vec![
        Row::new("evidence", format!("verify {of}"), Figure::of(&verified, "MB/s"))
            .against("SHA-256 of the lines in memory", hashed.clone())
            .limit("that", Some(&hashed))
            .ratio_at_least(0.5),
        Row::new("evidence", format!("prove one of {of}, median"), Figure::of(&proofs, "µs"))
            .under(1_000.0),
        Row::new(
            "evidence",
            format!("begin evidence over {of}"),
            Figure::of(&[bytes / 1e6 / adopted], "MB/s"),
        )
        .limit("SHA-256 in memory", Some(&hashed)),
    ])
}

/// Adds evidence to a store; returns the seconds.
async fn adopt(path: PathBuf, rotation: u64) -> Result<f64> {
    let builder = FileStorage::builder(&path).rotation_size_bytes(rotation);
    let start = Instant::now();
    let storage =
        builder.evidence(EvidenceOptions::new(key()?).adopt_existing(true)).open().await?;
    storage.checkpoint().await?;
    let took = start.elapsed().as_secs_f64();
    storage.close().await?;
    Ok(took)
}

/// Seconds to verify a whole store.
async fn verify(path: PathBuf, entries: u64) -> Result<f64> {
    let storage = FileStorage::builder(&path).read_only(true).open().await?;
    let start = Instant::now();
    let found = storage.verify(VerifyOptions::new().policy(Policy::new(key()?.public()))).await?;
    let took = start.elapsed().as_secs_f64();
    match (found.is_clean(), found.lines, found.signed) {
        (true, lines, Some(signed)) if lines == entries && signed == found.leaves => Ok(took),
        _ => Err(format!("the store of {entries} entries was not proven: {found:?}").into()),
    }
}

/// Median microseconds of a verified proof.
async fn prove(path: PathBuf, ids: Vec<EntryId>) -> Result<f64> {
    let storage = FileStorage::builder(&path).read_only(true).open().await?;
    let policy = Policy::new(key()?.public());
    let mut latencies = Vec::with_capacity(ids.len());
    for id in ids {
        let start = Instant::now();
        let proven =
            storage.inclusion_proof(&id).await?.ok_or("an entry of the store is not found")?;
        latencies.push(micros(start.elapsed()));
        proven.proof.verify(line_hash(&proven.line)?, &policy)?;
    }
    Ok(median(&latencies))
}

/// Megabytes per second of hashing lines in memory.
fn hash(rig: &Rig, path: &Path) -> Result<f64> {
    let path = path.to_path_buf();
    rig.run(async move {
        let storage = FileStorage::builder(&path).read_only(true).open().await?;
        let query = Query::new().limit(100_000);
        let lines: Vec<Vec<u8>> = storage.scan_lines(query).try_collect().await?;
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        let start = Instant::now();
        let mut last = 0;
        for line in &lines {
            last ^= leaf_hash(line).as_bytes()[0];
        }
        let took = start.elapsed().as_secs_f64();
        std::hint::black_box(last);
        Ok(to_f64(bytes as u64) / 1e6 / took)
    })
}
