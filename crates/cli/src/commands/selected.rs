//! Erasing the entries that conditions select.

use attestry::{AuditLogger, DeleteMode, EntryId, Query};

use crate::errors::{Failure, Status};
use crate::text::{counted, escaped, stderr_line};

pub(super) struct Selected {
    pub(super) entries: u64,
    pub(super) status: Status,
}

/// Fails if `query` selects more than half of the entries.
pub(super) async fn must_be_at_most_half(
    logger: &AuditLogger,
    query: Query,
) -> Result<(), Failure> {
    let deletion = logger.delete_matching(query, DeleteMode::DryRun, |_| ()).await?;
    let all = logger.count().await?;
    if deletion.entries <= all / 2 {
        return Ok(());
    }
    let selected = counted(deletion.entries, "entry", "entries");
    Err(Failure::new(format!("the conditions select {selected}, more than half of {all}"))
        .hint("look at them with --dry-run; --yes erases them"))
}

/// Erases, or counts, what `query` selects, and passes each id to `print`. A closed standard output does
/// not stop it.
pub(super) async fn delete(
    logger: &AuditLogger,
    query: Query,
    mode: DeleteMode,
    mut print: impl FnMut(&EntryId) -> Result<(), Failure>,
) -> Result<Selected, Failure> {
    let mut printed = Ok(true);
    let on_entry = |id: &EntryId| {
        if let Ok(true) = printed {
            printed = super::is_open(print(id));
        }
    };
    let deletion = logger.delete_matching(query, mode, on_entry).await?;
    printed?;
    let mut status = Status::Success;
    for record in &deletion.unreadable {
        stderr_line(escaped(&format!("kept, because it cannot be read: {record}")));
        status = Status::Problems;
    }
    Ok(Selected { entries: deletion.entries, status })
}
