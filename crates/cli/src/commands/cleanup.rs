//! `attestry cleanup`: erases entries that are older than the retention period.

use attestry::DeleteMode;

use super::quarantine;
use super::selected::{self, Selected};
use crate::args::{CleanupArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;
use crate::text::counted;
use crate::times::Zone;

pub(super) async fn run(
    args: CleanupArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let settings = Settings {
        retention_days: Some(args.retention_days),
        erasure: Some(args.erasure),
        allow_large_cleanup: args.yes,
        ..Settings::default()
    };
    let logger = if args.dry_run {
        store.open_reader(settings).await?
    } else {
        store.open_existing(settings).await?
    };
    let cutoff = logger.expiry_cutoff();
    // Filters select entries; torn lines cannot be matched.
    let mut quarantined = quarantine::files(&logger).await?;
    quarantined.retain(|file| args.filters.is_empty() && file.is_expired(cutoff));
    let expired = args.filters.query().until(cutoff);
    expired.validate()?;
    let verb = if args.dry_run { "would erase" } else { "erased" };
    let (count, status) = if args.dry_run {
        super::count(&logger, expired).await?
    } else if args.filters.is_empty() {
        (logger.cleanup_expired().await?, Status::Success)
    } else {
        if !args.yes {
            selected::must_be_at_most_half(&logger, expired.clone()).await?;
        }
        let deleted = selected::delete(&logger, expired, DeleteMode::Delete, |_| Ok(()));
        let Selected { entries, status } = deleted.await?;
        (entries, status)
    };
    let entries = counted(count, "entry", "entries");
    let torn = match quarantined.len() as u64 {
        0 => String::new(),
        count => format!(" and {} in quarantine", counted(count, "torn line", "torn lines")),
    };
    out.line(format_args!("{verb} {entries}{torn} at or before {}", Zone::default().show(cutoff)))?;
    logger.close().await?;
    Ok(status)
}
