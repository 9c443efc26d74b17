//! `attestry count`: how many entries there are.

use attestry::Query;

use crate::args::{CountArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;

pub(super) async fn run(
    args: CountArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let query = args.selection.query()?;
    let logger = store.open_reader(Settings::default()).await?;
    let mut status = Status::Done;
    let count = if query == Query::new() {
        logger.storage().count().await?
    } else {
        let mut count = 0;
        status = super::each(logger.query(query), |_| {
            count += 1;
            Ok(())
        })
        .await?;
        count
    };
    out.line(format_args!("{count}"))?;
    logger.close().await?;
    Ok(status)
}
