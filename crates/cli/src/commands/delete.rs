//! `attestry delete`: erases entries by id.

use crate::args::{DeleteArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;
use crate::text::{complain, escaped};

pub(super) async fn run(
    args: DeleteArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    // All of them are looked at before anything is erased.
    let ids: Vec<_> = args.ids.iter().map(|id| super::entry_id(id)).collect::<Result<_, _>>()?;
    let settings = Settings { erasures: args.record.into(), ..Settings::default() };
    let logger = store.open_existing(settings).await?;
    let mut status = Status::Done;
    let mut printing = true;
    for id in ids {
        if logger.storage().delete(&id).await? {
            // Nobody reading the ids is no reason to leave the others.
            printing = printing && super::shown(out.line(format_args!("{id}")))?;
        } else {
            complain(format_args!("there is no entry with the id {}", escaped(id.as_str())));
            status = Status::Problems;
        }
    }
    logger.close().await?;
    Ok(status)
}
