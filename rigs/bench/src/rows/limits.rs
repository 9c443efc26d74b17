//! The limits of the machine in plain loops, for the other rows.

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use attestry::line;

use crate::plain;
use crate::report::Row;
use crate::rig::Rig;
use crate::stats::{Figure, median};
use crate::{Result, remove};

pub(super) const PARSING: &str = "parse one line";
pub(super) const SYNCING: &str = "write and fdatasync one line";

const COUNT: usize = 20_000;
const SYNCS: usize = 200;
const BATCHES: usize = 20;
const VOLLEYS: u64 = 20_000;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let workload = &*Arc::clone(&rig.workload);
    let path = rig.fresh("limits.jsonl")?;
    let entries: Vec<_> = (0..2_048).map(|number| workload.entry(number)).collect();
    let lines: Vec<_> = entries.iter().map(line::encode).collect::<std::result::Result<_, _>>()?;
    let thousand = lines[..plain::BATCH].concat();
    let mut samples: [Vec<f64>; 6] = Default::default();
    let (mut alone, mut both, mut volleys) = (Vec::new(), Vec::new(), Vec::new());
    let hash_and_serialise = || {
        let mut buffer = Vec::with_capacity(1 << 10);
        plain::each(COUNT, |number| {
            plain::hash(workload, number);
            buffer.clear();
            Ok(line::encode_into(black_box(&entries[number % entries.len()]), &mut buffer)?)
        })
    };
    for _ in 0..rig.rounds {
        let mut file = plain::append(&path)?;
        let mut buffer = Vec::with_capacity(1 << 10);
        samples[0].push(plain::each(COUNT, |number| {
            plain::hash(workload, number);
            Ok(())
        })?);
        samples[1].push(plain::each(COUNT, |number| {
            buffer.clear();
            Ok(line::encode_into(&entries[number % entries.len()], &mut buffer)?)
        })?);
        samples[2].push(plain::each(COUNT, |number| {
            black_box(line::decode(&lines[number % lines.len()])?);
            Ok(())
        })?);
        samples[3]
            .push(plain::each(COUNT, |number| Ok(file.write_all(&lines[number % lines.len()])?))?);
        file.sync_data()?;
        samples[4].push(median(&plain::synced_lines(&mut file, workload, SYNCS)?));
        samples[5].push(plain::each(BATCHES, |_| {
            file.write_all(&thousand)?;
            Ok(file.sync_data()?)
        })?);
        remove(&path)?;
        alone.push(hash_and_serialise()?);
        let (one, other) = thread::scope(|scope| {
            let other = scope.spawn(hash_and_serialise);
            (hash_and_serialise(), other.join())
        });
        both.push(f64::midpoint(one?, other.map_err(|_| "a thread panicked")??));
        volleys.push(volley()?);
    }
    let what = [
        "hash both texts",
        "serialise one line",
        PARSING,
        "write one line",
        SYNCING,
        "write and fdatasync 1,000 lines",
    ];
    for (name, samples) in what.into_iter().zip(&samples) {
        // Later rows have other rounds, so samples are not paired.
        rig.set_limit(name, Figure::one(median(samples), "µs"));
    }
    let rows = what.into_iter().zip(&samples);
    let both =
        Row::new("limits", "hash and serialise, on two threads at once", Figure::of(&both, "µs"))
            .against("on one thread", Figure::of(&alone, "µs"));
    Ok(rows
        .map(|(what, samples)| Row::new("limits", what, Figure::of(samples, "µs")))
        .chain([both, Row::new("limits", THERE_AND_BACK, Figure::of(&volleys, "µs"))])
        .collect())
}

const THERE_AND_BACK: &str = "a cache line from one processor to another and back";

/// Microseconds of a round trip of a number between two threads.
fn volley() -> Result<f64> {
    let (there, back) = (Padded::default(), Padded::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=VOLLEYS {
                there.await_number(number);
                back.0.store(number, Ordering::Release);
            }
        });
        let volleys = usize::try_from(VOLLEYS)?;
        plain::each(volleys, |number| {
            let number = number as u64 + 1;
            there.0.store(number, Ordering::Release);
            back.await_number(number);
            Ok(())
        })
    })
}

/// Has a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Padded(AtomicU64);

impl Padded {
    fn await_number(&self, number: u64) {
        while self.0.load(Ordering::Acquire) != number {
            std::hint::spin_loop();
        }
    }
}
