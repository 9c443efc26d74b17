//! `attestry tree`: repairs the Merkle tree of a folder.

use attestry::evidence::{EvidenceError, EvidenceExt};
use attestry::file::FileStorage;

use crate::args::{StoreArgs, TreeCommand};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;
use crate::text::counted;

pub(super) async fn run(
    command: TreeCommand,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let TreeCommand::Rebuild(args) = command;
    if args.start_over { start_over(store, out).await } else { rebuild(store, out).await }
}

async fn rebuild(store: &StoreArgs, out: &mut Stdout) -> Result<Status, Failure> {
    let rebuilt = FileStorage::builder(store.existing_folder()?).rebuild_tree().await;
    let rebuilt = rebuilt.map_err(|error| match error {
        EvidenceError::Damaged { .. } | EvidenceError::Disagrees { .. } => Failure::from(error)
            .hint(
                "the leaf hashes are damaged; restore .attestry/tree/tiles.0 from a backup, or see \
                 --start-over in `attestry tree rebuild --help`",
            ),
        error => error.into(),
    })?;
    let leaves = counted(rebuilt.leaves, "leaf", "leaves");
    let matched = match rebuilt.checkpoint {
        Some(size) => {
            format!("it matches the latest checkpoint, of {}", counted(size, "leaf", "leaves"))
        }
        None => "there is no checkpoint to compare it with".into(),
    };
    out.line(format_args!("rebuilt the tree of {leaves}; {matched}"))?;
    Ok(Status::Success)
}

async fn start_over(store: &StoreArgs, out: &mut Stdout) -> Result<Status, Failure> {
    if store.signing_key()?.is_none() {
        return Err(Failure::new("cannot begin a tree: the signing key is missing")
            .hint("pass --signing-key FILE"));
    }
    for moved in FileStorage::builder(store.existing_folder()?).set_tree_aside().await? {
        out.line(format_args!("moved to {}", moved.display()))?;
    }
    let logger = store.open_existing(Settings::default()).await?;
    let checkpoint = logger.evidence()?.checkpoint().await?;
    logger.close().await?;
    out.bytes(checkpoint.as_str().as_bytes())?;
    Ok(Status::Success)
}
