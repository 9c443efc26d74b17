//! `attestry count`: prints the number of entries.

use attestry::Query;

use crate::args::{CountArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;
use crate::suggestions;

pub(super) async fn run(
    args: CountArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let query = args.selection.query()?.phase(args.phase.phase.into());
    let logger = store.open_reader(Settings::default()).await?;
    let (count, status) = if query == Query::new() {
        (logger.count().await?, Status::Success)
    } else {
        super::count(&logger, query.clone()).await?
    };
    out.line(format_args!("{count}"))?;
    if count == 0 {
        suggestions::print(&logger, &query).await?;
    }
    logger.close().await?;
    Ok(status)
}
