//! `attestry cleanup`: erases entries that are older than the retention period.

use attestry::Query;

use crate::args::{CleanupArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;
use crate::text::counted;

pub(super) async fn run(
    args: CleanupArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let settings = Settings {
        retention_days: Some(args.retention_days),
        erasure: Some(args.erasure),
        ..Settings::default()
    };
    let logger = if args.dry_run {
        store.open_reader(settings).await?
    } else {
        store.open_existing(settings).await?
    };
    let cutoff = logger.expiry_cutoff();
    let mut status = Status::Success;
    let (verb, count);
    if args.dry_run {
        verb = "would erase";
        (count, status) = super::count(&logger, Query::new().until(cutoff)).await?;
    } else {
        verb = "erased";
        count = logger.storage().delete_at_or_before(cutoff).await?;
    }
    let entries = counted(count, "entry", "entries");
    out.line(format_args!("{verb} {entries} at or before {cutoff} UTC"))?;
    logger.close().await?;
    Ok(status)
}
