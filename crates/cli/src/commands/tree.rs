//! `attestry tree`: begins and repairs the Merkle tree of a folder, and changes its keys.

use attestry::AuditLogger;
use attestry::evidence::{EvidenceError, EvidenceExt, SignedCheckpoint};
use attestry::file::FileStorage;

use crate::args::{StoreArgs, TreeCommand};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::policy;
use crate::store::{Settings, user};
use crate::text::counted;

pub(super) async fn run(
    command: TreeCommand,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let (settings, command) = match command {
        TreeCommand::Rebuild(args) if args.start_over => {
            return start_over(&args.reason, store, out).await;
        }
        TreeCommand::Rebuild(_) => return rebuild(store, out).await,
        TreeCommand::Begin => (Settings { adopt: true, ..Settings::default() }, TreeCommand::Begin),
        other => (Settings::default(), other),
    };
    let logger = open(settings, store).await?;
    let signed = change(command, &logger).await;
    print(signed, logger, out).await
}

/// Changes the tree; returns the checkpoint that covers the change.
async fn change(command: TreeCommand, logger: &AuditLogger) -> Result<SignedCheckpoint, Failure> {
    let tree = logger.evidence()?;
    let name = |by: Option<String>| by.or_else(user).unwrap_or_default();
    Ok(match command {
        TreeCommand::Begin | TreeCommand::Rebuild(_) => tree.checkpoint().await?,
        TreeCommand::Accept(why) => tree.accept_tree(&why.reason, &name(why.by)).await?,
        TreeCommand::Rotate(args) => tree.replace_key(policy::signing_key(&args.new_key)?).await?,
        TreeCommand::AllowErasure(args) => {
            tree.authorize_erasure_key(policy::public_key(&args.key)?).await?
        }
        TreeCommand::EndKey(args) => {
            let (key, by) = (policy::public_key(&args.key)?, name(args.why.by));
            tree.end_key(key, args.at_size, &args.why.reason, &by).await?
        }
    })
}

async fn open(settings: Settings, store: &StoreArgs) -> Result<AuditLogger, Failure> {
    if store.signing_key()?.is_none() {
        return Err(Failure::new("the signing key is missing").hint("pass --signing-key FILE"));
    }
    store.open_existing(settings).await
}

async fn print(
    signed: Result<SignedCheckpoint, Failure>,
    logger: AuditLogger,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let signed = signed?;
    logger.close().await?;
    out.bytes(signed.as_str().as_bytes())?;
    Ok(Status::Success)
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

async fn start_over(reason: &str, store: &StoreArgs, out: &mut Stdout) -> Result<Status, Failure> {
    if store.signing_key()?.is_none() {
        return Err(Failure::new("cannot begin a tree: the signing key is missing")
            .hint("pass --signing-key FILE"));
    }
    for moved in FileStorage::builder(store.existing_folder()?).set_tree_aside().await? {
        out.line(format_args!("moved to {}", moved.display()))?;
    }
    let logger = open(Settings { adopt: true, ..Settings::default() }, store).await?;
    let by = user().unwrap_or_default();
    let signed = logger.evidence()?.accept_tree(reason, &by).await;
    print(signed.map_err(Failure::from), logger, out).await
}
