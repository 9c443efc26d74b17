//! `attestry erasures`: lists the erasure records.

use attestry::evidence::{EvidenceExt, RecordSignature, RecordedErasure};
use serde_json::{Value, json};

use crate::args::{ErasuresArgs, ReportFormat, StoreArgs};
use crate::errors::{Failure, Status, with_sources};
use crate::output::Stdout;
use crate::store::Settings;
use crate::text::{counted, escaped, stderr_line, thousands};

pub(super) async fn run(
    args: ErasuresArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let policy = args.policy.policy()?;
    let verified = policy.is_some();
    let logger = store.open_reader(Settings::default()).await?;
    let records = logger.evidence()?.erasure_records(policy).await?;
    for record in &records {
        match args.format {
            ReportFormat::Json => out.line(format_args!("{}", report(record)))?,
            ReportFormat::Text => out.line(format_args!("{}", escaped(&line(record))))?,
        }
    }
    let is_bad = |record: &&RecordedErasure| match record.signature {
        RecordSignature::Authentic | RecordSignature::NotVerified => false,
        _ => verified,
    };
    let bad = records.iter().filter(is_bad).count() as u64;
    if bad > 0 {
        stderr_line(format_args!(
            "{} not signed by a key that may erase",
            counted(bad, "record is", "records are")
        ));
    }
    Ok(Status::success_if(bad == 0))
}

fn line(record: &RecordedErasure) -> String {
    let RecordedErasure { leaf, count, erasure, signers, signature, checkpoint, .. } = record;
    let leaves = match count {
        1 => format!("leaf {}", thousands(i128::from(*leaf))),
        _ => format!(
            "{} from leaf {}",
            counted(*count, "leaf", "leaves"),
            thousands(i128::from(*leaf))
        ),
    };
    let signed = match (signature, signers.is_empty()) {
        (RecordSignature::Forged(error), _) => format!("not authentic: {}", with_sources(error)),
        (_, true) => "not signed".to_owned(),
        (RecordSignature::NotVerified, _) => {
            format!("signed by {}, not verified", signers.join(", "))
        }
        _ => format!("signed by {}", signers.join(", ")),
    };
    let covered = match checkpoint {
        Some(size) => format!("checkpoint of {}", counted(*size, "leaf", "leaves")),
        None => "no checkpoint yet".to_owned(),
    };
    format!("{}  {leaves}, by {}: {}; {signed}; {covered}", erasure.at, erasure.by, erasure.reason)
}

fn report(record: &RecordedErasure) -> Value {
    json!({
        "leaf": record.leaf,
        "count": record.count,
        "erased_at": record.erasure.at,
        "by": record.erasure.by,
        "reason": record.erasure.reason,
        "record": record.record,
        "signers": record.signers,
        "signature": record.signature.as_str(),
        "checkpoint": record.checkpoint,
    })
}
