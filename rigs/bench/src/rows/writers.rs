//! Durable `log` by number of writers: how well they share syncs.

use super::durable;
use crate::plain;
use crate::report::{Point, Row, Scale, grouped};
use crate::rig::Rig;
use crate::stats::{Figure, rate, to_f64};
use crate::{Result, remove};

const WRITERS: [usize; 6] = [1, 4, 16, 64, 256, 1_024];

/// Entries per writer and round; with many writers fewer.
const EACH: usize = 1_000;
const MOST: usize = durable::COUNT / 4;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let [mut samples, mut groups, mut limits]: [[Vec<f64>; WRITERS.len()]; 3] = Default::default();
    for round in 0..rig.rounds {
        for (place, tasks) in WRITERS.into_iter().enumerate() {
            let count = (EACH * tasks).min(MOST);
            // Each affects the disk for the next, so the order rotates.
            for turn in 0..3 {
                match (round + turn) % 3 {
                    0 => samples[place].push(durable::log(rig, tasks, count)?),
                    1 => groups[place].push(durable::group(rig, tasks, count)?),
                    _ => {
                        let path = rig.fresh("writers.jsonl")?;
                        let took = plain::durable_batches(&path, &rig.workload, count, tasks)?;
                        limits[place].push(rate(count as u64, took));
                        remove(&path)?;
                    }
                }
            }
        }
    }
    let figures = samples.map(|samples| Figure::of(&samples, "entries/s"));
    let limits = limits.map(|samples| Figure::of(&samples, "entries/s"));
    let points = WRITERS.iter().zip(&figures);
    let points: Vec<Point> = points
        .map(|(&tasks, figure)| Point { at: to_f64(tasks as u64), value: figure.median })
        .collect();
    let alone = figures[0].clone();
    let mut rows = Vec::new();
    for (place, tasks) in WRITERS.into_iter().enumerate() {
        let what = match tasks {
            1 => "durable log, one writer".to_owned(),
            _ => format!("durable log, {} writers", grouped(tasks as u64)),
        };
        let row = Row::new("writers", what, figures[place].clone())
            .limit("as many in a batch", Some(&limits[place]));
        let group = Figure::of(&groups[place], "entries/s");
        rows.push(row.clone().against(durable::PLAIN_GROUP, group));
        if tasks > 1 {
            rows.push(row.against("one writer", alone.clone()));
        }
    }
    rows[0] = rows[0].clone().series("Attestry", Scale::Writers, points);
    Ok(rows)
}
