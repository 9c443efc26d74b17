//! `attestry get`: prints one entry.

use attestry::{AuditEntry, AuditLogger, EntryId, Query, line};
use futures_util::StreamExt;
use serde_json::Value;

use crate::args::{GetArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::{Stdout, encoded_line};
use crate::store::Settings;

pub(super) async fn run(
    args: GetArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let id = super::entry_id(&args.id)?;
    let encryption = if args.decrypt { store.encryption()? } else { None };
    let logger = store.open_reader(Settings { encryption, ..Settings::default() }).await?;
    let status = match logger.get_entry::<EntryId>(id.clone()).await? {
        None => super::not_found(&id),
        Some(mut entry) if args.decrypt => {
            let content = logger.decrypt_entry(&entry)?;
            entry.input_content = content.input;
            entry.output_content = content.output;
            out.bytes(&encoded_line(&entry))?;
            Status::Success
        }
        Some(entry) => {
            let raw = raw_line(&logger, &entry).await?;
            // The Python package writes NaN and Infinity, which JSON parsers reject.
            if args.raw || serde_json::from_slice::<Value>(&raw).is_ok() {
                out.bytes(&raw)?;
            } else {
                out.bytes(&encoded_line(&entry))?;
            }
            Status::Success
        }
    };
    logger.close().await?;
    Ok(status)
}

/// The stored line of an entry with its line break, byte for byte, as its proof requires.
async fn raw_line(logger: &AuditLogger, entry: &AuditEntry) -> Result<Vec<u8>, Failure> {
    let same_timestamp = Query::range(entry.timestamp, entry.timestamp);
    let mut lines = logger.storage().scan_lines(same_timestamp);
    while let Some(found) = lines.next().await {
        if let Ok(mut bytes) = found
            && line::decode(&bytes).is_ok_and(|found| found.id == entry.id)
        {
            bytes.push(b'\n');
            return Ok(bytes);
        }
    }
    // Erased in the meantime.
    Ok(encoded_line(entry))
}
