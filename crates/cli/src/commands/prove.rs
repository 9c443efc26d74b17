//! `attestry prove`: the proof that an entry is in the log, or that the log only grew.

use crate::args::{ProveArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::text::{complain, escaped};
use crate::trust;

pub(super) async fn run(
    args: ProveArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    if let Some(path) = &args.grown_since {
        let older = trust::checkpoint(path, &args.trust.needed_policy()?)?;
        let storage = store.open_files().await?;
        let proof = storage.consistency_proof(&older).await?;
        out.bytes(proof.to_string().as_bytes())?;
        return Ok(Status::Done);
    }
    let id = super::entry_id(args.id.as_deref().unwrap_or_default())?;
    let storage = store.open_files().await?;
    match storage.inclusion_proof(&id).await? {
        Some(proven) => {
            out.bytes(proven.proof.to_string().as_bytes())?;
            Ok(Status::Done)
        }
        None => {
            complain(format_args!("there is no entry with the id {}", escaped(id.as_str())));
            Ok(Status::Problems)
        }
    }
}
