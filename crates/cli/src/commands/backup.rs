//! `attestry backup`: copies a store while programs write to it.

use attestry::file::{Backup, BackupOptions, FileStorage};
use serde_json::json;

use crate::args::{BackupArgs, ReportFormat, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;
use crate::text::{counted, escaped, thousands};

pub(super) async fn run(
    args: BackupArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    store.existing_folder()?;
    let logger = store.open_reader(Settings::default()).await?;
    let storage = logger.storage().as_any().and_then(|any| any.downcast_ref::<FileStorage>());
    let storage = storage.ok_or_else(|| Failure::new("only a store in a folder can be copied"))?;
    let options = BackupOptions::new().hard_links(args.hard_links);
    let made = storage.backup(&args.to, options).await?;
    let Backup { path, segments, linked, bytes, .. } = made;
    if matches!(args.format, ReportFormat::Json) {
        out.json(&json!({
            "path": path.display().to_string(),
            "segments": segments,
            "linked": linked,
            "bytes": bytes,
        }))?;
        return Ok(Status::Success);
    }
    let count = counted(segments as u64, "segment", "segments");
    let linked = if linked > 0 { format!(" ({linked} linked)") } else { String::new() };
    let path = escaped(&path.display().to_string());
    out.line(format_args!("copied {count}{linked}, {} bytes, to {path}", thousands(bytes)))?;
    Ok(Status::Success)
}
