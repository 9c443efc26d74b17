//! `attestry get`: prints entries by id.

use attestry::{AuditLogger, EntryId, line};
use serde_json::Value;

use crate::args::{GetArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::ids::entry_ids;
use crate::output::{Stdout, decrypted, encoded_line};
use crate::store::Settings;

pub(super) async fn run(
    args: GetArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let ids = entry_ids(&args.ids)?;
    let encryption = if args.decrypt { store.encryption()? } else { None };
    let logger = store.open_reader(Settings { encryption, ..Settings::default() }).await?;
    let mut status = Status::Success;
    for id in &ids {
        match entry_line(&logger, id, &args).await? {
            Some(line) => out.bytes(&line)?,
            None => status = super::not_found(id),
        }
    }
    logger.close().await?;
    Ok(status)
}

/// The line to print for the entry of `id`, with its line break.
async fn entry_line(
    logger: &AuditLogger,
    id: &EntryId,
    args: &GetArgs,
) -> Result<Option<Vec<u8>>, Failure> {
    if args.decrypt {
        let entry = logger.storage().read(id).await?;
        let decrypted = entry.map(|entry| decrypted(logger, entry)).transpose()?;
        return Ok(decrypted.as_ref().map(encoded_line));
    }
    // Byte for byte, as its proof requires.
    let Some(mut stored) = logger.storage().read_line(id).await? else { return Ok(None) };
    // The Python package writes NaN and Infinity, which JSON parsers reject.
    if !args.raw
        && serde_json::from_slice::<Value>(&stored).is_err()
        && let Ok(entry) = line::decode(&stored)
    {
        return Ok(Some(encoded_line(&entry)));
    }
    stored.push(b'\n');
    Ok(Some(stored))
}
