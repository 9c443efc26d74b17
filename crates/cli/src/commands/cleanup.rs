//! `attestry cleanup`: erases what is older than the retention period.

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
        erasures: args.record.into(),
        ..Settings::default()
    };
    let logger = if args.dry_run {
        store.open_reader(settings).await?
    } else {
        store.open_existing(settings).await?
    };
    let cutoff = logger.expiry_cutoff();
    let entries = |count| counted(count, "entry", "entries");
    let mut status = Status::Done;
    if args.dry_run {
        let mut count = 0;
        status = super::each(logger.query(Query::new().until(cutoff)), |_| {
            count += 1;
            Ok(())
        })
        .await?;
        out.line(format_args!("would erase {} of {cutoff} or before", entries(count)))?;
    } else {
        let count = logger.storage().delete_at_or_before(cutoff).await?;
        out.line(format_args!("erased {} of {cutoff} or before", entries(count)))?;
    }
    logger.close().await?;
    Ok(status)
}
