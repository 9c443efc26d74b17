//! `attestry verify`: compares the entries with the Merkle tree and signed checkpoints.

mod elsewhere;

use attestry::Timestamp;
use attestry::evidence::{
    EvidenceExt, EvidenceProblem, ObservationKind, ProblemKind, Verification, VerifyOptions,
};
use serde_json::json;

use self::elsewhere::{Elsewhere, Timestamps};
use super::open_calls::OpenCalls;
use crate::args::{ReportFormat, StoreArgs, VerifyArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::policy;
use crate::progress;
use crate::store::Settings;
use crate::text::{counted, escaped, stderr_line, thousands};

pub(super) async fn run(
    args: VerifyArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let required = args.policy.policy()?;
    let mut options = VerifyOptions::new().on_progress(progress::verified_leaves());
    if let Some(required) = &required {
        options = options.policy(required.clone());
    }
    for path in &args.since_checkpoint {
        options = options.against_signed(policy::signed_checkpoint(path)?);
    }
    if let Some(age) = args.max_age {
        options = options.max_age(age);
    }
    let logger = store.open_reader(Settings::default()).await?;
    let evidence = logger.evidence()?;
    let timestamps = match (&args.timestamps.tsa_ca, &required) {
        (Some(roots), Some(policy)) => Timestamps::verify(evidence, roots, policy).await?,
        _ => Timestamps::default(),
    };
    // What existed by a time must still be there.
    for (checkpoint, _) in &timestamps.verified {
        options = options.against(checkpoint);
    }
    let result = evidence.verify(options).await?;
    let is_removed = |problem: &EvidenceProblem| problem.kind == ProblemKind::EvidenceRemoved;
    let elsewhere = match result.problems.iter().any(is_removed) {
        true => None,
        false => Elsewhere::find(evidence).await?,
    };
    let open_calls = OpenCalls::find(&logger, args.grace.grace).await?;
    if matches!(args.format, ReportFormat::Json) {
        let mut report = json!(result);
        report["open_calls"] = open_calls.as_json();
        let now = Timestamp::now();
        report["held_elsewhere"] = elsewhere.map(|elsewhere| elsewhere.json(now)).into();
        report["timestamps"] = timestamps.json();
        out.json(&report)?;
    } else {
        for problem in &result.problems {
            out.line(format_args!("{}", escaped(&problem.to_string())))?;
        }
        for (path, reason) in &timestamps.problems {
            out.line(format_args!("{}: timestamp: {}", escaped(path), escaped(reason)))?;
        }
        open_calls.print(out)?;
        summarise(&result, required.is_some(), elsewhere.as_ref(), out)?;
        if let Some(line) = timestamps.line() {
            out.line(format_args!("{line}"))?;
        }
        note(&result, store.strict);
    }
    let noted = store.strict && !result.observations.is_empty();
    Ok(Status::success_if(result.is_clean() && timestamps.problems.is_empty() && !noted))
}

fn summarise(
    result: &Verification,
    with_key: bool,
    elsewhere: Option<&Elsewhere>,
    out: &mut Stdout,
) -> Result<(), Failure> {
    let entries = counted(result.lines, "entry matches", "entries match");
    let mut summary = format!("{entries} the Merkle tree");
    if result.erased > 0 {
        summary += &format!(", {} erased with a record", thousands(result.erased));
    }
    if let Some(signed) = result.signed {
        summary += ", signed";
        if signed < result.leaves {
            summary +=
                &format!(" up to leaf {} of {}", thousands(signed), thousands(result.leaves));
        }
        if !with_key {
            summary += ", signatures not verified (pass --public-key)";
        }
    } else {
        summary += ", no signed checkpoint";
    }
    if let Some(elsewhere) = elsewhere {
        summary += &elsewhere.summary(result, Timestamp::now());
    }
    match result.problems.len() as u64 + result.problems_unlisted {
        0 => summary += ": no problems",
        count => summary += &format!(": {}", counted(count, "problem", "problems")),
    }
    out.line(format_args!("{summary}"))?;
    if let Some(witnessed) = &result.witnessed {
        let witnesses: Vec<String> = witnessed
            .by
            .iter()
            .map(|by| format!("{} at {}", escaped(&by.witness), by.time()))
            .collect();
        let leaves = counted(witnessed.leaves, "leaf", "leaves");
        out.line(format_args!("{leaves} cosigned by {}", witnesses.join(", ")))?;
    }
    Ok(())
}

/// Prints the observations.
fn note(result: &Verification, strict: bool) {
    let prefix = if strict { "problem" } else { "note" };
    for noted in &result.observations {
        stderr_line(format_args!("{prefix}: {noted}{}", meaning(noted.kind)));
    }
}

/// What an observation means for the result.
fn meaning(kind: ObservationKind) -> &'static str {
    match kind {
        ObservationKind::Empty => "; was it emptied? Compare it with a checkpoint that was kept",
        ObservationKind::Adopted => "; earlier changes of them are not detected",
        ObservationKind::NotCovered | ObservationKind::Unsigned => {
            "; changes of them are not detected yet"
        }
        ObservationKind::CopiedWhileWriting => {
            "; `attestry backup` makes a copy that is the store at one moment"
        }
        ObservationKind::FutureCosignature => "; is the clock of this machine right?",
        ObservationKind::UnsignedRecord => "; an earlier version wrote them",
        ObservationKind::Accepted => "; `attestry verify --since-checkpoint` shows which",
        ObservationKind::ForeignCheckpoint => ", for example of another log, and was not verified",
        ObservationKind::NotVerified => "; pass --public-key",
        _ => "",
    }
}
