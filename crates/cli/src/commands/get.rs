//! `attestry get`: one entry.

use attestry::EntryId;

use crate::args::{GetArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::{Stdout, stored_line};
use crate::store::Settings;
use crate::text::{complain, escaped};

pub(super) async fn run(
    args: GetArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let id = super::entry_id(&args.id)?;
    let encryption = if args.decrypt { store.encryption()? } else { None };
    let logger = store.open_reader(Settings { encryption, ..Settings::default() }).await?;
    let found = logger.get_entry::<EntryId>(id).await?;
    let status = match found {
        None => {
            complain(format_args!("there is no entry with the id {}", escaped(&args.id)));
            Status::Problems
        }
        Some(mut entry) => {
            if args.decrypt {
                let content = logger.decrypt_entry(&entry)?;
                entry.input_content = content.input;
                entry.output_content = content.output;
            }
            out.bytes(&stored_line(&entry))?;
            Status::Done
        }
    };
    logger.close().await?;
    Ok(status)
}
