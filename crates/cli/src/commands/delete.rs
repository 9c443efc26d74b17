//! `attestry delete`: erases entries by id.

use crate::args::{DeleteArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;

pub(super) async fn run(
    args: DeleteArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    // All ids are validated before any entry is erased.
    let ids: Vec<_> = args.ids.iter().map(|id| super::entry_id(id)).collect::<Result<_, _>>()?;
    let settings = Settings { erasure: Some(args.erasure), ..Settings::default() };
    let logger = store.open_existing(settings).await?;
    let mut status = Status::Success;
    let mut printing = true;
    for id in ids {
        if logger.storage().delete(&id).await? {
            // A closed standard output does not stop the deletion.
            printing = printing && super::is_open(out.line(format_args!("{id}")))?;
        } else {
            status = super::not_found(&id);
        }
    }
    logger.close().await?;
    Ok(status)
}
