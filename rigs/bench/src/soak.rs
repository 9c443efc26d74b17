//! A server under load for minutes: does its memory grow?

use std::path::Path;
use std::time::Duration;

use crate::server::{self, Running};
use crate::stats::to_f64;
use crate::{Result, fresh_folder, remove};

/// As in the row `serve`.
const SPANS: usize = 100;
const CONNECTIONS: usize = 16;

/// How much the resident memory may grow from the second minute to the last: the Bloom filters of sealed segments are kept
/// in memory, and the index of the active segment until it is rotated.
const MAX_BYTES_AN_ENTRY: f64 = 4.0;
const MAX_INDEX_MIB: f64 = 16.0;

/// Loads a server with a new store in `folder` for `minutes`, and prints a line for each. Fails if an acknowledged span
/// is not stored after the server was killed, or if its memory grows faster than its filters.
pub(crate) fn run(attestry: &Path, folder: &Path, minutes: u64) -> Result<()> {
    let folder = fresh_folder(folder.join("soak"))?;
    let store = folder.join("audit");
    let server = Running::start(attestry, &store)?;
    let (mut acknowledged, mut resident) = (0, Vec::new());
    println!("minute  spans/s  refused requests  resident MiB  peak MiB");
    for minute in 1..=minutes {
        let loaded = server.load(CONNECTIONS, SPANS, Duration::from_secs(60))?;
        acknowledged += loaded.spans;
        let (now, peak) = (server.resident_mib()?, server.peak_mib()?);
        println!(
            "{minute:6}  {:7.0}  {:16}  {now:12.1}  {peak:8.1}",
            loaded.rate(),
            loaded.refused
        );
        resident.push(now);
    }
    drop(server);
    let stored = server::stored(&store)?;
    remove(&folder)?;
    println!("{acknowledged} spans acknowledged, {stored} entries stored");
    if stored < acknowledged {
        return Err(format!("{} acknowledged spans are missing", acknowledged - stored).into());
    }
    let growth = resident[resident.len() - 1] - resident[1];
    println!("{growth:.1} MiB more than after the second minute");
    if growth > MAX_INDEX_MIB + MAX_BYTES_AN_ENTRY * to_f64(stored) / to_f64(1 << 20) {
        return Err(format!("the memory of the server has grown by {growth:.1} MiB").into());
    }
    Ok(())
}
