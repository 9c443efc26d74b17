//! The cost of each operation by the size of the store, with segments of the default size.

use std::path::PathBuf;
use std::sync::Arc;

use attestry::{AuditLogger, EntryId, Query};

use super::limits::{PARSING, SYNCING};
use super::{delete, get, open, scan, single};
use crate::report::{Point, Row, Scale, grouped};
use crate::rig::Rig;
use crate::stats::{Figure, median, micros, to_f64};
use crate::store::Store;
use crate::{Result, child, remove};

/// "Flat" means: the largest store costs at most this factor more than the smallest.
const FLAT: f64 = 1.5;

/// Maximum rounds; each visits all sizes and deletes from every store.
const ROUNDS: usize = 5;

/// Repetitions per round and store.
const LOGS: usize = 200;
const GETS: usize = 2_000;
const COUNTS: usize = 300;
const DELETES: usize = 15;
const SCANS: usize = 5;

/// Entries written by the process whose memory is measured.
const WRITE: usize = 20_000;

/// Operations: name, unit, whether the cost must be flat, and the limit.
type Name = (&'static str, &'static str, bool, Option<&'static str>);

const NAMES: [Name; 7] = [
    ("durable log, one caller", "µs", true, Some(SYNCING)),
    ("get_entry", "µs", true, Some(PARSING)),
    ("count", "µs", true, None),
    ("delete", "µs", true, Some(SYNCING)),
    ("scan of 1 %, each entry", "µs", true, Some(PARSING)),
    ("open with indexes", "ms", false, None),
    ("resident memory, writing and scanning", "MiB", false, None),
];

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let sizes = rig.sizes.clone();
    let smaller: Vec<Store> = sizes[..sizes.len().saturating_sub(1)]
        .iter()
        .map(|&entries| rig.another_store(&format!("store-{entries}"), entries))
        .collect::<Result<_>>()?;
    let rows = measure(rig, smaller);
    for entries in sizes {
        remove(&rig.path(&format!("store-{entries}")))?;
    }
    rows
}

fn measure(rig: &mut Rig, mut smaller: Vec<Store>) -> Result<Vec<Row>> {
    let sizes = rig.sizes.clone();
    let mut samples: Vec<[Vec<f64>; 7]> = vec![Default::default(); sizes.len()];
    for _ in 0..rig.rounds.min(ROUNDS) {
        for (place, &entries) in sizes.iter().enumerate() {
            let store = match smaller.get_mut(place) {
                Some(store) => store,
                None => rig.plain_store(entries)?,
            };
            let visit = Visit::of(store)?;
            for (samples, value) in samples[place].iter_mut().zip(visit.measure(rig)?) {
                samples.push(value);
            }
        }
    }
    for (place, &entries) in sizes.iter().enumerate() {
        let store = match smaller.get(place) {
            Some(store) => store,
            None => rig.plain_store(entries)?,
        };
        let memory = child::memory(&store.path, store.rotation, WRITE)?;
        samples[place][6].push(to_f64(memory.peak_kb) / 1024.0);
    }
    let row = |(kind, (what, unit, flat, limit)): (usize, Name)| {
        let figures = samples.iter().map(|samples| Figure::of(&samples[kind], unit));
        let figures: Vec<(u64, Figure)> = sizes.iter().copied().zip(figures).collect();
        let ends = (figures.first().cloned(), figures.last().cloned());
        let (Some((least, first)), Some((most, last))) = ends else {
            return Err("no sizes are given".into());
        };
        let series =
            figures.iter().map(|(entries, f)| Point { at: to_f64(*entries), value: f.median });
        let row = Row::new("sizes", format!("{what}, {} entries", grouped(most)), last)
            .against(format!("{} entries", grouped(least)), first)
            .limit(limit.unwrap_or_default(), limit.and_then(|limit| rig.limit(limit)))
            .series(what, Scale::Entries, series.collect());
        Ok(if flat { row.ratio_at_most(FLAT) } else { row })
    };
    NAMES.into_iter().enumerate().map(row).collect()
}

/// One round on one store.
struct Visit {
    path: PathBuf,
    rotation: u64,
    ids: Vec<EntryId>,
    victims: Vec<EntryId>,
    query: Query,
    in_range: u64,
    least: u64,
}

impl Visit {
    fn of(store: &mut Store) -> Result<Self> {
        let least = store.remaining();
        Ok(Self {
            path: store.path.clone(),
            rotation: store.rotation,
            ids: store.sample_ids(GETS)?,
            victims: store.victims(DELETES)?,
            query: store.query(),
            in_range: store.in_range,
            least,
        })
    }

    /// The median cost of each operation except the last, in order.
    fn measure(self, rig: &Rig) -> Result<[f64; 6]> {
        let opened = rig.run(open::open(self.path.clone(), self.rotation, self.least))?;
        let workload = Arc::clone(&rig.workload);
        rig.run(async move {
            let storage = crate::store::open(&self.path, self.rotation).await?;
            let count = median(&delete::count_each(&storage, COUNTS).await?);
            let delete = median(&delete::delete_each(&storage, &self.victims).await?);
            let logger = AuditLogger::builder(storage).build();
            let log = median(&single::log_each(logger.clone(), workload, LOGS).await?);
            get::get_each(logger.clone(), self.ids.clone()).await?;
            let get = median(&get::get_each(logger.clone(), self.ids).await?);
            let mut scans = Vec::new();
            for _ in 0..SCANS {
                let took = scan::scan(logger.clone(), self.query.clone(), self.in_range).await?;
                scans.push(micros(took) / to_f64(self.in_range));
            }
            logger.close().await?;
            Ok([log, get, count, delete, median(&scans), opened.as_secs_f64() * 1e3])
        })
    }
}
