//! `attestry export`: entries in a folder of their own, with proofs.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use attestry::{EvidenceError, FileStorage, Query, StorageBackend, line};

use crate::args::{ExportArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::progress;
use crate::store::Settings;
use crate::text::{complain, counted};

/// So many proofs are made with one look at the tree.
const AT_ONCE: usize = 1_000;

pub(super) async fn run(args: ExportArgs, store: &StoreArgs) -> Result<Status, Failure> {
    let query = args.selection.query()?;
    if args.with_proofs {
        let storage = store.open_files().await?;
        let latest = storage.latest_checkpoint().await?;
        let mut folder = Folder::create(&args.out)?;
        fs::create_dir(args.out.join("proofs")).map_err(|error| cannot_write(&args.out, error))?;
        if let Some(checkpoint) = latest {
            folder.file("checkpoint", checkpoint.as_bytes())?;
        }
        return copy(&storage, query, &mut folder, Some(&storage)).await;
    }
    let logger = store.open_reader(Settings::default()).await?;
    let mut folder = Folder::create(&args.out)?;
    copy(logger.storage(), query, &mut folder, None).await
}

async fn copy(
    storage: &dyn StorageBackend,
    query: Query,
    folder: &mut Folder<'_>,
    prover: Option<&FileStorage>,
) -> Result<Status, Failure> {
    let bar = progress::counter();
    let mut lines = Vec::new();
    let mut status = super::each(storage.scan_lines(query), |line| {
        folder.line(line)?;
        bar.inc(1);
        if prover.is_some() {
            let entry = line::decode(line);
            lines.push(entry.map_err(|error| Failure::new(error.to_string()))?.id);
        }
        Ok(())
    })
    .await?;
    folder.finish()?;
    let mut unproven = 0;
    if let Some(prover) = prover {
        for (chunk, numbered) in lines.chunks(AT_ONCE).enumerate() {
            let proven = prover.inclusion_proofs(numbered).await?;
            for (number, proven) in (chunk * AT_ONCE + 1..).zip(proven) {
                match proven {
                    Ok(Some(proven)) => {
                        let name = format!("proofs/{number:08}.tlog-proof");
                        folder.file(&name, proven.proof.to_string().as_bytes())?;
                    }
                    Ok(None) | Err(EvidenceError::NotSigned { .. }) => unproven += 1,
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    bar.finish_and_clear();
    complain(format_args!("exported {}", counted(folder.lines, "entry", "entries")));
    if unproven > 0 {
        complain(format_args!(
            "{} no proof: no checkpoint covers them; sign one with `attestry checkpoint`",
            counted(unproven, "entry has", "entries have")
        ));
        status = Status::Problems;
    }
    Ok(status)
}

/// The folder that is written.
struct Folder<'a> {
    path: &'a Path,
    entries: BufWriter<File>,
    lines: u64,
}

impl<'a> Folder<'a> {
    fn create(path: &'a Path) -> Result<Self, Failure> {
        fs::create_dir(path).map_err(|error| {
            Failure::new(format!("cannot make the folder {}", path.display()))
                .caused_by(error)
                .hint("name one with --out that does not exist yet, in a folder that does")
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
