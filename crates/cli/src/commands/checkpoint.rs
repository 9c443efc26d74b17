//! `attestry checkpoint`: signs a checkpoint of the Merkle tree and prints it.

use attestry::evidence::EvidenceExt;

use crate::args::{AnchorArgs, CheckpointArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::policy;
use crate::store::Settings;
use crate::text::stderr_line;

pub(super) async fn run(
    args: CheckpointArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    if args.latest {
        let logger = store.open_reader(Settings::default()).await?;
        return Ok(match logger.evidence()?.latest_checkpoint().await? {
            Some(checkpoint) => {
                out.bytes(checkpoint.as_str().as_bytes())?;
                Status::Success
            }
            None => {
                stderr_line(
                    "the store has no checkpoint; sign one with `attestry --signing-key FILE checkpoint`",
                );
                Status::Problems
            }
        });
    }
    if let Some(path) = &args.cosigned {
        let required = args.policy.required_policy()?;
        let note = policy::signed_checkpoint(path)?;
        let logger = store.open_existing(Settings::default()).await?;
        logger.evidence()?.store_cosigned_checkpoint(&note, required).await?;
        logger.close().await?;
        return Ok(Status::Success);
    }
    if store.signing_key()?.is_none() {
        return Err(Failure::new("cannot sign a checkpoint: the signing key is missing").hint(
            "pass --signing-key FILE; `attestry key generate --signing --out FILE` creates a key",
        ));
    }
    let logger = store.open_existing(Settings::default()).await?;
    let anchors = AnchorArgs {
        witnesses: args.policy.witnesses,
        witnesses_needed: args.policy.witnesses_needed,
        policy: args.policy.policy,
        places: args.places,
    };
    let anchors = anchors.start(store, &logger)?;
    let checkpoint = logger.evidence()?.checkpoint().await?;
    out.bytes(checkpoint.as_str().as_bytes())?;
    let status = anchors.finish(&logger).await;
    logger.close().await?;
    Ok(status)
}
