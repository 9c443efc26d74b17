//! `attestry compact`: reclaims the space of erased entries.

use crate::args::StoreArgs;
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;

pub(super) async fn run(store: &StoreArgs, out: &mut Stdout) -> Result<Status, Failure> {
    let logger = store.open_existing(Settings::default()).await?;
    let freed = logger.compact().await?;
    out.line(format_args!("freed {freed} bytes"))?;
    logger.close().await?;
    Ok(Status::Success)
}
