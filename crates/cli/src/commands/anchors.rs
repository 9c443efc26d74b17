//! `attestry anchors`: lists what was handed over.

use attestry::Timestamp;
use attestry::evidence::{AnchorRecord, EvidenceExt};
use serde_json::json;

use crate::args::{AnchorsArgs, ReportFormat, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;
use crate::text::{age, counted, escaped, stderr_line};

pub(super) async fn run(
    args: AnchorsArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let logger = store.open_reader(Settings::default()).await?;
    let records = logger.evidence()?.anchor_records().await?;
    if matches!(args.format, ReportFormat::Json) {
        out.json(&json!(records))?;
    } else {
        for record in &records {
            out.line(format_args!("{}", escaped(&line(record, Timestamp::now()))))?;
        }
        if records.is_empty() {
            stderr_line("no checkpoint was handed over; see `attestry checkpoint --help`");
        }
    }
    Ok(Status::success_if(records.iter().all(|record| record.failures == 0)))
}

fn line(record: &AnchorRecord, now: Timestamp) -> String {
    let mut line = format!("{}: ", record.anchor);
    line += &match &record.held {
        Some(held) => {
            let leaves = counted(held.leaves, "leaf", "leaves");
            format!("has {leaves} of {} as of {} ago", held.origin, age(held.at, now))
        }
        None => "has nothing yet".to_owned(),
    };
    if record.failures > 0 {
        line += &format!("; failed {} since", counted(record.failures, "time", "times"));
    }
    if let Some(error) = &record.last_error {
        line += &format!(": {error}");
    }
    line
}
