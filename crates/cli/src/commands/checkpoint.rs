//! `attestry checkpoint`: signs what the store holds, and prints it.

use crate::args::{CheckpointArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::text::complain;
use crate::trust;

pub(super) async fn run(
    args: CheckpointArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    if args.latest {
        let storage = store.open_files().await?;
        return Ok(match storage.latest_checkpoint().await? {
            Some(checkpoint) => {
                out.bytes(checkpoint.as_bytes())?;
                Status::Done
            }
            None => {
                complain(format_args!("no checkpoint was signed yet"));
                Status::Problems
            }
        });
    }
    if let Some(path) = &args.cosigned {
        let policy = args.trust.needed_policy()?;
        let note = trust::text("the checkpoint", path)?;
        let storage = store.open_files_to_write().await?;
        storage.store_cosigned_checkpoint(&note, policy).await?;
        attestry::StorageBackend::close(&storage).await?;
        return Ok(Status::Done);
    }
    if store.signing_key()?.is_none() {
        return Err(Failure::new("a checkpoint is signed, and no signing key is given").hint(
            "give it with --signing-key FILE; `attestry key generate --signing --out FILE` makes one",
        ));
    }
    let storage = store.open_files_to_write().await?;
    let checkpoint = storage.checkpoint().await?;
    attestry::StorageBackend::close(&storage).await?;
    out.bytes(checkpoint.as_bytes())?;
    Ok(Status::Done)
}
