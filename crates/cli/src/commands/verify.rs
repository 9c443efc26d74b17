//! `attestry verify`: proves that nothing in a store was changed, or names what was.

use attestry::{Verification, VerifyOptions};
use serde_json::{Value, json};

use crate::args::{CheckFormat, StoreArgs, VerifyArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::progress;
use crate::text::{complain, counted, escaped, thousands};
use crate::trust;

pub(super) async fn run(
    args: VerifyArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let policy = args.trust.policy()?;
    let mut options = VerifyOptions::new().on_progress(progress::of_leaves());
    if let Some(policy) = &policy {
        options = options.policy(policy.clone());
        for path in &args.since_checkpoint {
            options = options.against(&trust::checkpoint(path, policy)?);
        }
    }
    let storage = store.open_files().await?;
    let found = storage.verify(options).await?;
    if matches!(args.format, CheckFormat::Json) {
        out.json(&report(&found))?;
    } else {
        for problem in &found.problems {
            out.line(format_args!("{}", escaped(&problem.to_string())))?;
        }
        summarise(&found, policy.is_some(), out)?;
    }
    Ok(Status::done_if(found.is_clean()))
}

fn report(found: &Verification) -> Value {
    let problems: Vec<Value> = found
        .problems
        .iter()
        .map(|problem| {
            json!({
                "kind": problem.kind.as_str(),
                "path": problem.path.as_ref().map(|path| path.display().to_string()),
                "offset": problem.offset,
                "id": problem.id,
                "leaf": problem.leaf,
                "reason": problem.reason,
            })
        })
        .collect();
    json!({
        "leaves": found.leaves,
        "root": found.root,
        "lines": found.lines,
        "erased": found.erased,
        "erasure_records": found.records,
        "adopted": found.adopted.map(|adopted| json!({ "leaves": adopted.leaves, "at": adopted.at })),
        "not_covered": found.not_covered,
        "checkpoints": found.checkpoints,
        "foreign_checkpoints": found.foreign_checkpoints,
        "signed": found.signed,
        "witnessed": found.witnessed.as_ref().map(|seen| json!({
            "leaves": seen.leaves,
            "by": seen.by.iter().map(|one| json!({ "witness": one.witness, "at": one.time() }))
                .collect::<Vec<_>>(),
        })),
        "problems": problems,
        "problems_unlisted": found.problems_unlisted,
    })
}

fn summarise(found: &Verification, trusted: bool, out: &mut Stdout) -> Result<(), Failure> {
    let number = |count: u64| thousands(i128::from(count));
    let mut told = format!("{} there as logged", counted(found.lines, "entry", "entries"));
    if found.erased > 0 {
        told += &format!(", {} erased on record", number(found.erased));
    }
    told += match (found.signed, trusted) {
        (Some(_), true) => ", signed",
        (Some(_), false) => ", under checkpoints of which nobody looked who signed them",
        (None, _) => ", not signed",
    };
    match found.signed {
        Some(signed) if signed < found.leaves => {
            told += &format!(" up to leaf {} of {}", number(signed), number(found.leaves));
        }
        _ => {}
    }
    let problems = found.problems.len() as u64 + found.problems_unlisted;
    let problems = match problems {
        0 => "no problems".to_owned(),
        count => counted(count, "problem", "problems"),
    };
    out.line(format_args!("{told}: {problems}"))?;
    if let Some(seen) = &found.witnessed {
        let names: Vec<String> = seen
            .by
            .iter()
            .map(|one| format!("{} at {}", escaped(&one.witness), one.time()))
            .collect();
        let leaves = counted(seen.leaves, "leaf was", "leaves were");
        out.line(format_args!("{leaves} seen by {}", names.join(", ")))?;
    }
    if let Some(adopted) = found.adopted {
        complain(format_args!(
            "note: {} there before evidence was begun at {}: nothing is proven of the time before",
            counted(adopted.leaves, "line was", "lines were"),
            adopted.at
        ));
    }
    if found.not_covered > 0 {
        complain(format_args!(
            "note: {} by another program and not in the tree yet; nothing is proven of it",
            counted(found.not_covered, "line was written", "lines were written"),
        ));
    }
    if found.foreign_checkpoints > 0 {
        complain(format_args!(
            "note: {} of other names, by an earlier key perhaps, were passed over",
            counted(found.foreign_checkpoints, "checkpoint", "checkpoints"),
        ));
    }
    if !trusted {
        complain(format_args!(
            "note: give the log's key with --public-key FILE to know who signed"
        ));
    }
    Ok(())
}
