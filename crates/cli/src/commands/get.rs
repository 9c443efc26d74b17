//! `attestry get`: one entry.

use attestry::{AuditEntry, AuditLogger, EntryId, Query, line};
use futures_util::StreamExt;
use serde_json::Value;

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
        Some(mut entry) if args.decrypt => {
            let content = logger.decrypt_entry(&entry)?;
            entry.input_content = content.input;
            entry.output_content = content.output;
            out.bytes(&stored_line(&entry))?;
            Status::Done
        }
        Some(entry) => {
            let raw = raw_line(&logger, &entry).await?;
            // What Python writes beyond JSON is of no use to most who read this.
            let as_it_is = args.raw || serde_json::from_slice::<Value>(&raw).is_ok();
            if as_it_is {
                out.bytes(&raw)?;
            } else {
                out.bytes(&stored_line(&entry))?;
            }
            Status::Done
        }
    };
    logger.close().await?;
    Ok(status)
}

/// The line of an entry as it is stored, byte for byte, with its line break: what a proof is about.
async fn raw_line(logger: &AuditLogger, entry: &AuditEntry) -> Result<Vec<u8>, Failure> {
    let same_moment = Query::range(entry.timestamp, entry.timestamp);
    let mut lines = logger.storage().scan_lines(same_moment);
    while let Some(found) = lines.next().await {
        if let Ok(mut bytes) = found
            && line::decode(&bytes).is_ok_and(|found| found.id == entry.id)
        {
            bytes.push(b'\n');
            return Ok(bytes);
        }
    }
    // Gone by now.
    Ok(stored_line(entry))
}
