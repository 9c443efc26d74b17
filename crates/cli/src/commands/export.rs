//! `attestry export`: copies entries to a new folder, with inclusion proofs if requested.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use attestry::evidence::{EvidenceError, EvidenceExt};
use attestry::file::FileStorage;
use attestry::{Query, StorageBackend, line};

use crate::args::{ExportArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::progress;
use crate::store::Settings;
use crate::text::{counted, stderr_line};

/// Number of proofs computed from one snapshot of the tree.
const PROOF_BATCH: usize = 1_000;

pub(super) async fn run(args: ExportArgs, store: &StoreArgs) -> Result<Status, Failure> {
    let query = args.selection.query()?;
    let logger = store.open_reader(Settings::default()).await?;
    if args.with_proofs {
        let storage = logger.evidence()?;
        let latest = storage.latest_checkpoint().await?;
        let mut folder = Folder::create(&args.out)?;
        fs::create_dir(args.out.join("proofs")).map_err(|error| cannot_write(&args.out, error))?;
        if let Some(checkpoint) = latest {
            folder.file("checkpoint", checkpoint.as_str().as_bytes())?;
        }
        return copy(storage, query, &mut folder, Some(storage)).await;
    }
    let mut folder = Folder::create(&args.out)?;
    copy(logger.storage(), query, &mut folder, None).await
}

async fn copy(
    storage: &dyn StorageBackend,
    query: Query,
    folder: &mut Folder<'_>,
    prover: Option<&FileStorage>,
) -> Result<Status, Failure> {
    let bar = progress::entries();
    let mut ids = Vec::new();
    let mut status = super::for_each(storage.scan_lines(query), |line| {
        folder.line(line)?;
        bar.inc(1);
        if prover.is_some() {
            let entry = line::decode(line);
            ids.push(entry.map_err(|error| Failure::new(error.to_string()))?.id);
        }
        Ok(())
    })
    .await?;
    folder.finish()?;
    let mut without_proof = 0;
    if let Some(prover) = prover {
        for (chunk, ids) in ids.chunks(PROOF_BATCH).enumerate() {
            let proofs = prover.inclusion_proofs(ids).await?;
            for (number, proof) in (chunk * PROOF_BATCH + 1..).zip(proofs) {
                match proof {
                    Ok(Some(proof)) => {
                        let name = format!("proofs/{number:08}.tlog-proof");
                        folder.file(&name, proof.proof.to_string().as_bytes())?;
                    }
                    Ok(None) | Err(EvidenceError::NotSigned { .. }) => without_proof += 1,
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    bar.finish_and_clear();
    stderr_line(format_args!("exported {}", counted(folder.lines, "entry", "entries")));
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

/// The folder that is exported to.
struct Folder<'a> {
    path: &'a Path,
    entries: BufWriter<File>,
    lines: u64,
}

impl<'a> Folder<'a> {
    fn create(path: &'a Path) -> Result<Self, Failure> {
        fs::create_dir(path).map_err(|error| {
            Failure::new(format!("cannot create the folder {}", path.display()))
                .caused_by(error)
                .hint("--out must name a new folder in an existing folder")
        })?;
        let file = path.join("entries.jsonl");
        let entries = File::create_new(&file).map_err(|error| cannot_write(&file, error))?;
        Ok(Self { path, entries: BufWriter::new(entries), lines: 0 })
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.lines += 1;
        let written = self.entries.write_all(line).and_then(|()| self.entries.write_all(b"\n"));
        written.map_err(|error| cannot_write(self.path, error))
    }

    fn file(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let path = self.path.join(name);
        fs::write(&path, content).map_err(|error| cannot_write(&path, error))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let flushed = self.entries.flush().and_then(|()| self.entries.get_ref().sync_all());
        flushed.map_err(|error| cannot_write(self.path, error))
    }
}

fn cannot_write(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(format!("cannot write to {}", path.display())).caused_by(error)
}
