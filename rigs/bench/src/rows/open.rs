//! Opening a store with and without its index files.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use attestry::StorageBackend;

use crate::Result;
use crate::report::{Row, grouped};
use crate::rig::Rig;
use crate::stats::{Figure, to_f64};

/// Opens per round with indexes.
const COUNT: usize = 5;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let entries = rig.entries();
    let store = rig.store()?;
    let (path, rotation, least) = (store.path.clone(), store.rotation, store.remaining());
    let (megabytes, active) = (to_f64(store.bytes) / 1e6, to_f64(store.active_bytes) / 1e6);
    let segments = store.segments;
    let (mut with, mut without, mut removed) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rig.rounds {
        for _ in 0..COUNT {
            with.push(rig.run(open(path.clone(), rotation, least))?.as_secs_f64() * 1e3);
        }
        removed = rig.store()?.remove_indexes()?;
        without.push(megabytes / rig.run(open(path.clone(), rotation, least))?.as_secs_f64());
    }
    let store = format!("{} entries, {segments} segments, {megabytes:.0} MB", grouped(entries));
    let nothing = "there were no index files to remove";
    let rebuilt =
        Row::new("open", format!("open without indexes, {store}"), Figure::of(&without, "MB/s"))
            .at_least(400.0);
    Ok(vec![
        Row::new("open", format!("open with indexes, {store}"), Figure::of(&with, "ms"))
            .under(50.0)
            .note(format!("{active:.1} MB in the active segment")),
        if removed == 0 { rebuilt.note(nothing) } else { rebuilt },
    ])
}

/// The time to open the store and count its entries; counting needs all segments.
pub(super) async fn open(path: PathBuf, rotation: u64, least: u64) -> Result<Duration> {
    let start = Instant::now();
    let storage = crate::store::open(&path, rotation).await?;
    let count = storage.count().await?;
    let took = start.elapsed();
    storage.close().await?;
    if count < least {
        Err(format!("{count} entries of {least} are there").into())
    } else {
        Ok(took)
    }
}
