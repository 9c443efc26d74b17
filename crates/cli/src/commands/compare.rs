//! `attestry compare`: has a log grown from one checkpoint to the other, or was it forked?

use attestry::evidence::{
    Comparison, ConsistencyProof, EvidenceExt, InvalidProof, OpenedCheckpoint, Policy,
    SignedCheckpoint,
};
use serde_json::json;

use crate::args::{CompareArgs, ReportFormat, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::policy;
use crate::store::Settings;
use crate::text::{counted, escaped};

pub(super) async fn run(
    args: CompareArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let required = args.policy.required_policy()?;
    let notes = [policy::signed_checkpoint(&args.one)?, policy::signed_checkpoint(&args.other)?];
    let mut opened =
        [policy::checkpoint(&args.one, &required)?, policy::checkpoint(&args.other, &required)?];
    opened.sort_by_key(|opened| opened.checkpoint().size());
    let relation = relation(&args, store, &notes, &opened, required).await?;
    let [old, new] = opened.map(|opened| opened.checkpoint().clone());
    if matches!(args.format, ReportFormat::Json) {
        let of = |checkpoint: &attestry::evidence::Checkpoint| json!({ "leaves": checkpoint.size(), "root": checkpoint.root() });
        let name = match relation {
            Comparison::Same => "same",
            Comparison::Grown => "grown",
            Comparison::Forked => "forked",
            _ => "unknown",
        };
        out.json(&json!({ "relation": name, "old": of(&old), "new": of(&new) }))?;
    } else {
        let leaves = |size| counted(size, "leaf", "leaves");
        let (old, new, origin) = (leaves(old.size()), leaves(new.size()), escaped(old.origin()));
        let text = match relation {
            Comparison::Same => format!("the same: both are of the tree of {new} of {origin}"),
            Comparison::Grown => format!("grown: {origin} has only grown, from {old} to {new}"),
            Comparison::Forked => format!(
                "fork: the key of {origin} has signed two histories, of {old} and of {new}; keep both checkpoints"
            ),
            _ => format!(
                "unknown: the tree of this store is not that of the checkpoint of {new}; a consistency proof \
                 decides (--proof)"
            ),
        };
        out.line(format_args!("{text}"))?;
    }
    Ok(Status::success_if(matches!(relation, Comparison::Same | Comparison::Grown)))
}

async fn relation(
    args: &CompareArgs,
    store: &StoreArgs,
    notes: &[SignedCheckpoint; 2],
    [old, new]: &[OpenedCheckpoint; 2],
    required: Policy,
) -> Result<Comparison, Failure> {
    let (old, new) = (old.checkpoint(), new.checkpoint());
    if old.size() == new.size() {
        let same = old.root() == new.root();
        return Ok(if same { Comparison::Same } else { Comparison::Forked });
    }
    let Some(path) = &args.proof else {
        let logger = store.open_reader(Settings::default()).await?;
        let [one, other] = notes;
        return Ok(logger.evidence()?.compare(one, other, required).await?);
    };
    let proof: ConsistencyProof =
        policy::read("the proof", path)?.parse().map_err(|error: InvalidProof| {
            Failure::new(format!("{} is not a consistency proof", path.display())).caused_by(error)
        })?;
    let proven = proof.verify(old, &required).map_err(|error| {
        Failure::new(format!("{} does not prove that the log has grown", path.display()))
            .caused_by(error)
    })?;
    if proven.checkpoint().size() != new.size() {
        let leaves = counted(new.size(), "leaf", "leaves");
        return Err(Failure::new(format!("{} is no proof for {leaves}", path.display()))
            .hint("make it when that is the latest checkpoint: `attestry prove --grown-since`"));
    }
    // Proven for another tree of that size than the one that was signed as well.
    let same = proven.checkpoint().root() == new.root();
    Ok(if same { Comparison::Grown } else { Comparison::Forked })
}
