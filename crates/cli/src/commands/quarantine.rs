//! `attestry quarantine`: lists, shows and removes torn lines.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::OpenOptionsExt;

use attestry::file::{FileStorage, Quarantined, QuarantinedKind};
use attestry::{AuditLogger, EntryId};
use serde_json::json;

use crate::args::{
    QuarantineCommand, QuarantineListArgs, QuarantineRemoveArgs, QuarantineShowArgs, ReportFormat,
    StoreArgs,
};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;
use crate::table::{Align, Table};
use crate::text::{escaped, stderr_line, thousands};
use crate::times::Zone;

/// Printed at once.
const CHUNK_BYTES: u64 = 1 << 20;

pub(super) async fn run(
    command: QuarantineCommand,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    match command {
        QuarantineCommand::List(args) => list(&args, store, out).await,
        QuarantineCommand::Show(args) => show(&args, store, out).await,
        QuarantineCommand::Remove(args) => remove(&args, store, out).await,
    }
}

/// The files in quarantine; none for a store that is not a folder.
pub(super) async fn files(logger: &AuditLogger) -> Result<Vec<Quarantined>, Failure> {
    match file_storage(logger) {
        Some(storage) => Ok(storage.quarantine().await?),
        None => Ok(Vec::new()),
    }
}

fn file_storage(logger: &AuditLogger) -> Option<&FileStorage> {
    logger.storage().as_any()?.downcast_ref()
}

async fn list(
    args: &QuarantineListArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let logger = store.open_reader(Settings::default()).await?;
    let found = files(&logger).await?;
    if args.format == ReportFormat::Json {
        let files: Vec<_> = found.iter().map(as_json).collect();
        out.json(&json!(files))?;
        return Ok(Status::Success);
    }
    let mut table = Table::new([
        ("NAME".into(), Align::Left, 80),
        ("BYTES".into(), Align::Right, 20),
        ("IN QUARANTINE SINCE".into(), Align::Left, 26),
        ("TIME".into(), Align::Left, 26),
        ("ID".into(), Align::Left, 40),
    ]);
    let zone = Zone::default();
    for file in &found {
        let (id, time) = match &file.kind {
            QuarantinedKind::Line { id, timestamp } => (
                id.as_ref().map(|id| escaped(id.as_str())),
                timestamp.map(|timestamp| zone.show(timestamp).to_string()),
            ),
            _ => (None, None),
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let name = escaped(&file.name);
        let since = zone.show(file.since).to_string();
        table.row(vec![name, thousands(file.length), since, or_dash(time), or_dash(id)], out)?;
    }
    table.finish(out)?;
    Ok(Status::Success)
}

/// The file as an object of JSON.
pub(super) fn as_json(file: &Quarantined) -> serde_json::Value {
    let (kind, id, timestamp) = match &file.kind {
        QuarantinedKind::Line { id, timestamp } => ("line", id.as_ref(), *timestamp),
        _ => ("checkpoint", None, None),
    };
    json!({
        "name": file.name,
        "path": file.path.display().to_string(),
        "bytes": file.length,
        "since": file.since.to_string(),
        "kind": kind,
        "id": id.map(EntryId::as_str),
        "timestamp": timestamp.map(|timestamp| timestamp.to_string()),
    })
}

/// On a terminal, control characters are escaped.
async fn show(
    args: &QuarantineShowArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let logger = store.open_reader(Settings::default()).await?;
    let found = files(&logger).await?;
    let Some(file) = found.iter().find(|file| file.name == args.name) else {
        return Ok(not_found(&args.name));
    };
    let failed = |error: io::Error| {
        Failure::new(format!("cannot read {}", file.path.display())).caused_by(error)
    };
    // A file that was listed is a regular one; it may be a link by now.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let opened = options.open(&file.path).map_err(failed)?;
    let mut rest = opened.take(file.length);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if rest.by_ref().take(CHUNK_BYTES).read_to_end(&mut bytes).map_err(failed)? == 0 {
            return Ok(Status::Success);
        }
        if io::stdout().is_terminal() {
            out.line(format_args!("{}", escaped(&String::from_utf8_lossy(&bytes))))?;
        } else {
            out.bytes(&bytes)?;
        }
    }
}

async fn remove(
    args: &QuarantineRemoveArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let logger = store.open_existing(Settings::default()).await?;
    let mut status = Status::Success;
    let mut printing = true;
    for name in &args.names {
        let removed = match file_storage(&logger) {
            Some(storage) => storage.remove_quarantined(name).await?,
            None => false,
        };
        if removed {
            // A closed standard output does not stop the removal.
            printing = printing && super::is_open(out.line(format_args!("{}", escaped(name))))?;
        } else {
            status = not_found(name);
        }
    }
    logger.close().await?;
    Ok(status)
}

fn not_found(name: &str) -> Status {
    stderr_line(format_args!("there is no file {} in quarantine", escaped(name)));
    Status::Problems
}
