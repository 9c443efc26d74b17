//! Resident memory of a process that writes and scans concurrently.

use crate::report::{Row, grouped, short};
use crate::rig::Rig;
use crate::stats::{Figure, to_f64};
use crate::{Result, child};

/// Entries written.
const WRITE: usize = 50_000;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let entries = rig.entries();
    let store = rig.store()?;
    let least = store.remaining();
    let found = child::memory(&store.path, store.rotation, WRITE)?;
    if found.scanned < least {
        return Err(format!("{} entries of {least} were scanned", found.scanned).into());
    }
    let opened = short(to_f64(found.opened_kb) / 1024.0);
    Ok(vec![
        Row::new(
            "memory",
            format!(
                "resident, {} entries, 256 tasks writing during a scan of all",
                grouped(entries)
            ),
            Figure::one(to_f64(found.peak_kb) / 1024.0, "MiB"),
        )
        .under(128.0)
        .note(format!("{opened} MiB of it when the store was open, 4 MiB of them the texts")),
    ])
}
