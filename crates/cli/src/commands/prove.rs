//! `attestry prove`: prints the inclusion proof of an entry, or a consistency proof.

use attestry::evidence::EvidenceExt;

use crate::args::{ProveArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::ids::entry_id;
use crate::output::Stdout;
use crate::policy;
use crate::store::Settings;

pub(super) async fn run(
    args: ProveArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    if let Some(path) = &args.grown_since {
        let older = policy::checkpoint(path, &args.policy.required_policy()?)?;
        let logger = store.open_reader(Settings::default()).await?;
        let proof = logger.evidence()?.consistency_proof(&older).await?;
        out.bytes(proof.to_string().as_bytes())?;
        return Ok(Status::Success);
    }
    let id = entry_id(args.id.as_deref().unwrap_or_default())?;
    let logger = store.open_reader(Settings::default()).await?;
    match logger.evidence()?.inclusion_proof(&id).await? {
        Some(proof) => {
            out.bytes(proof.proof.to_string().as_bytes())?;
            Ok(Status::Success)
        }
        None => Ok(super::not_found(&id)),
    }
}
