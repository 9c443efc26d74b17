//! `EncryptionManager::encrypt` of the two texts of an interaction as one, beside Python, and beside
//! what it is made of.

use std::hint::black_box;
use std::process::Command;

use attestry::crypto::EncryptionManager;
use serde_json::Value;

use super::python::finished;
use crate::bare::Bare;
use crate::report::Row;
use crate::rig::Rig;
use crate::stats::{Figure, median};
use crate::{Result, plain, remove};

/// Texts in one round, and how many of them differ.
const COUNT: usize = 20_000;
const DISTINCT: usize = 256;

/// Texts that Python encrypts in one round.
const IN_PYTHON: usize = 4_000;

/// The script that drives Python.
const SCRIPT: &str = include_str!("../../python/encrypt_rate.py");

const PARTS: [&str; 4] = ["AES-128-CBC", "HMAC-SHA-256", "base64 of the token", "base64 of that"];

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let texts: Vec<String> = (0..DISTINCT)
        .map(|number| rig.workload.item(number))
        .map(|item| item.input.clone() + &item.output)
        .collect();
    let longest = texts.iter().map(String::len).max().unwrap_or_default();
    let text = |number: usize| &texts[number % DISTINCT];
    let manager = EncryptionManager::generate();
    let mut bare = Bare::new(longest)?;
    let file = rig.path("texts.json");
    std::fs::write(&file, serde_json::to_vec(&texts)?)?;

    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    let mut parts: [Vec<f64>; 4] = Default::default();
    let mut theirs: [Vec<f64>; 2] = Default::default();
    for _ in 0..rig.rounds {
        ours.push(plain::each(COUNT, |number| {
            black_box(manager.encrypt(black_box(text(number))));
            Ok(())
        })?);
        limit.push(plain::each(COUNT, |number| {
            black_box(bare.all(black_box(text(number).as_bytes()))?);
            Ok(())
        })?);
        parts[0].push(plain::each(COUNT, |number| bare.aes(black_box(text(number).as_bytes())))?);
        parts[1].push(plain::each(COUNT, |_| {
            black_box(&mut bare).hmac();
            Ok(())
        })?);
        parts[2].push(plain::each(COUNT, |_| {
            black_box(&mut bare).inner();
            Ok(())
        })?);
        parts[3].push(plain::each(COUNT, |_| {
            black_box(black_box(&mut bare).outer());
            Ok(())
        })?);
        if let Some((python, _)) = &rig.python {
            let mut command = Command::new(python);
            command.args(["-B", "-c", SCRIPT]).arg(&file);
            command.args(["--count", &IN_PYTHON.to_string()]);
            let printed: Value = serde_json::from_slice(&finished(&mut command)?)?;
            for (samples, name) in theirs.iter_mut().zip(["fernet", "manager"]) {
                samples.push(printed[name].as_f64().ok_or("the script printed no rate")?);
            }
        }
    }
    remove(&file)?;
    Ok(rows(&ours, &limit, &parts, &theirs))
}

/// Ours and the limit take so many microseconds a text; Python makes so many texts a second.
fn rows(ours: &[f64], limit: &[f64], parts: &[Vec<f64>], theirs: &[Vec<f64>; 2]) -> Vec<Row> {
    let rates = |micros: &[f64]| {
        let rates: Vec<f64> = micros.iter().map(|micros| 1e6 / micros).collect();
        Figure::of(&rates, "texts/s")
    };
    let limit = rates(limit);
    let row = || {
        Row::new("encrypt", "EncryptionManager::encrypt of 2 KB", rates(ours))
            .limit("its parts one by one", Some(&limit))
    };
    let mut rows = Vec::new();
    if !theirs[0].is_empty() {
        let theirs = theirs.each_ref().map(|samples| Figure::of(samples, "texts/s"));
        let [fernet, manager] = theirs;
        rows.push(row().against("Python cryptography", fernet).ratio_at_least(5.0));
        rows.push(row().against("Python EncryptionManager", manager));
    }
    let beside = "AES-128-CBC, HMAC-SHA-256, base64 twice";
    rows.push(row().against(beside, limit.clone()).ratio_at_least(0.5));
    let whole = Figure::one(median(ours), "µs");
    rows.extend(PARTS.into_iter().zip(parts).map(|(part, samples)| {
        Row::new("encrypt", format!("of it, {part}"), Figure::of(samples, "µs"))
            .against("encrypt", whole.clone())
    }));
    rows
}
