//! `attestry delete`: erases entries by id or by conditions.

use attestry::{AuditLogger, DeleteMode, EntryId, Query};

use super::selected::{self, Selected};
use crate::args::{DeleteArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::ids::entry_ids;
use crate::output::Stdout;
use crate::store::Settings;
use crate::suggestions;
use crate::text::{counted, stderr_line};

pub(super) async fn run(
    args: DeleteArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let by_conditions = !args.selection.is_empty();
    if by_conditions != args.ids.is_empty() {
        return Err(Failure::new("delete takes ids, or conditions such as --user, but not both")
            .hint("see `attestry delete --help`"));
    }
    // Ids and conditions are validated before any entry is erased.
    let query = args.selection.query()?;
    let ids = entry_ids(&args.ids)?;
    let settings = Settings { erasure: Some(args.erasure), ..Settings::default() };
    let logger = if args.dry_run {
        store.open_reader(settings).await?
    } else {
        store.open_existing(settings).await?
    };
    let mode = if args.dry_run { DeleteMode::DryRun } else { DeleteMode::Delete };
    let status = if by_conditions {
        delete_selected(&logger, query, mode, args.yes, out).await?
    } else {
        delete_ids(&logger, &ids, mode, out).await?
    };
    logger.close().await?;
    Ok(status)
}

async fn delete_ids(
    logger: &AuditLogger,
    ids: &[EntryId],
    mode: DeleteMode,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let mut status = Status::Success;
    let mut printing = true;
    for id in ids {
        let found = match mode {
            DeleteMode::Delete => logger.storage().delete(id).await?,
            DeleteMode::DryRun => logger.storage().read_line(id).await?.is_some(),
        };
        if found {
            // A closed standard output does not stop the deletion.
            printing = printing && super::is_open(out.line(format_args!("{id}")))?;
        } else {
            status = super::not_found(id);
        }
    }
    Ok(status)
}

async fn delete_selected(
    logger: &AuditLogger,
    query: Query,
    mode: DeleteMode,
    confirmed: bool,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    if mode == DeleteMode::Delete && !confirmed {
        selected::must_be_at_most_half(logger, query.clone()).await?;
    }
    let print = |id: &EntryId| out.line(format_args!("{id}"));
    let Selected { entries, status } = selected::delete(logger, query.clone(), mode, print).await?;
    let verb = if mode == DeleteMode::Delete { "erased" } else { "would erase" };
    if entries == 0 {
        suggestions::print(logger, &query).await?;
    }
    stderr_line(format_args!("{verb} {}", counted(entries, "entry", "entries")));
    Ok(status)
}
