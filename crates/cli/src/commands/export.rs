//! `attestry export`: copies entries to a new folder, with inclusion proofs if requested.

mod folder;

use std::path::Path;

use attestry::evidence::{EvidenceError, EvidenceExt};
use attestry::file::FileStorage;
use attestry::{AuditLogger, EntryId, line};

use self::folder::{Folder, Plan};
use crate::args::{ExportArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::progress;
use crate::store::Settings;
use crate::suggestions;
use crate::text::{counted, stderr_line};

/// Number of proofs computed from one snapshot of the tree.
const PROOF_BATCH: usize = 1_000;

pub(super) async fn run(args: ExportArgs, store: &StoreArgs) -> Result<Status, Failure> {
    if let Some(folder) = &args.tiles {
        if !args.selection.is_empty() {
            return Err(Failure::new("--tiles takes no conditions")
                .hint("the tiles are those of the whole tree; they contain no entries"));
        }
        return tiles(folder, store).await;
    }
    // clap requires one of the two.
    let Some(out) = args.out else { return Err(Failure::new("--out is missing")) };
    let query = args.selection.query()?;
    if args.resume && (args.with_proofs || !args.selection.is_empty()) {
        return Err(Failure::new("--resume takes no conditions and no --with-proofs")
            .hint("the incomplete export knows what it was started with"));
    }
    let logger = store.open_reader(Settings::default()).await?;
    if args.with_proofs {
        // Fails now if the store keeps no evidence.
        logger.evidence()?.latest_checkpoint().await?;
    }
    let folder = if args.resume {
        Folder::resume(&out)?
    } else {
        Folder::create(&out, Plan { query, with_proofs: args.with_proofs })?
    };
    let exported = export(&logger, folder).await;
    let status = exported.map_err(|failure| failure.hint(incomplete(&out)))?;
    logger.close().await?;
    Ok(status)
}

/// Brings `folder` up to the latest checkpoint.
async fn tiles(folder: &Path, store: &StoreArgs) -> Result<Status, Failure> {
    let logger = store.open_reader(Settings::default()).await?;
    let export = logger.evidence()?.export_tiles(folder).await;
    let export = export.map_err(|error| match &error {
        EvidenceError::OtherTree { checkpoint: path, .. } | EvidenceError::Damaged { path, .. }
            if path.starts_with(folder) =>
        {
            Failure::new(format!("{} is not an export of this log", folder.display()))
                .caused_by(error)
                .hint("name a new folder, or remove this one")
        }
        _ => error.into(),
    })?;
    logger.close().await?;
    stderr_line(format_args!(
        "wrote {} of the tree of {}, of which {} new",
        counted(export.tiles, "tile", "tiles"),
        counted(export.leaves, "leaf", "leaves"),
        counted(export.leaves - export.leaves_before, "is", "are"),
    ));
    Ok(Status::Success)
}

fn incomplete(out: &Path) -> String {
    format!(
        "the export is incomplete; `attestry export --out {} --resume` continues it",
        out.display()
    )
}

async fn export(logger: &AuditLogger, mut folder: Folder) -> Result<Status, Failure> {
    let Plan { query, with_proofs } = folder.plan().clone();
    let mut status = copy(logger, &mut folder).await?;
    let lines = folder.lines();
    let mut without_proof = 0;
    if with_proofs {
        without_proof = write_proofs(logger.evidence()?, &folder).await?;
    }
    folder.complete()?;
    stderr_line(format_args!("exported {}", counted(lines, "entry", "entries")));
    if lines == 0 {
        suggestions::print(logger, &query).await?;
    }
    if without_proof > 0 {
        stderr_line(format_args!(
            "{} no proof, because no checkpoint covers them; sign one with \
             `attestry --signing-key FILE checkpoint`",
            counted(without_proof, "entry has", "entries have")
        ));
        status = Status::Problems;
    }
    Ok(status)
}

/// Copies the lines that are not in the folder yet.
async fn copy(logger: &AuditLogger, folder: &mut Folder) -> Result<Status, Failure> {
    let bar = progress::entries();
    let remaining = folder.remaining();
    let mut repeated = folder.take_last_ids();
    let status = super::for_each(logger.storage().scan_lines(remaining), |line| {
        // If the last exported entry was erased since, those of its timestamp follow again.
        if !repeated.is_empty() {
            let id = entry_id(line)?;
            if let Some(index) = repeated.iter().position(|repeated| *repeated == id) {
                repeated.swap_remove(index);
                return Ok(());
            }
        }
        bar.inc(1);
        folder.append(line)
    })
    .await;
    bar.finish_and_clear();
    folder.sync()?;
    status
}

/// Returns the number of entries that have no proof.
async fn write_proofs(prover: &FileStorage, folder: &Folder) -> Result<u64, Failure> {
    if let Some(checkpoint) = prover.latest_checkpoint().await? {
        folder.write("checkpoint", checkpoint.as_str().as_bytes())?;
    }
    folder.create_dir("proofs")?;
    let mut entries = folder.read()?;
    let (mut number, mut without_proof) = (0, 0);
    loop {
        let mut ids = Vec::new();
        while ids.len() < PROOF_BATCH
            && let Some(line) = entries.next_line()?
        {
            ids.push(entry_id(line)?);
        }
        if ids.is_empty() {
            return Ok(without_proof);
        }
        for proof in prover.inclusion_proofs(&ids).await? {
            number += 1;
            match proof {
                Ok(Some(proof)) => {
                    let name = format!("proofs/{number:08}.tlog-proof");
                    folder.write(&name, proof.proof.to_string().as_bytes())?;
                }
                Ok(None) | Err(EvidenceError::NotSigned { .. }) => without_proof += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn entry_id(line: &[u8]) -> Result<EntryId, Failure> {
    line::decode(line).map(|entry| entry.id).map_err(|error| Failure::new(error.to_string()))
}
