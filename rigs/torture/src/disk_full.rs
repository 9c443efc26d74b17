//! Full disks and read-only disks.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use attestry_core::{EntryId, StorageBackend, StorageError};
use attestry_file::FileStorage;

use crate::ledger::{Fate, Ledger};
use crate::notes::Note;
use crate::outcome::{Result, Stop, chain, failed};
use crate::rng::Rng;
use crate::runs::{Options, Runs, with_folder};
use crate::system::{self, Device, Mount};
use crate::verify::Rules;
use crate::{sample, verify};

/// Linux's `EROFS`.
const READ_ONLY: i32 = 30;
/// Size of the file that is removed to make room.
const BALLAST_BYTES: usize = 300_000;

#[derive(Debug, Default)]
struct Summary {
    writes: usize,
    refused: usize,
    erased_while_full: usize,
    erasures_refused: usize,
    opened_while_full: usize,
}

/// Fills a small tmpfs or ext4, erases and opens while it is full, continues once there is room, and opens on the disk
/// remounted read-only.
pub(crate) fn run(options: &Options) -> Result<String> {
    system::need_mounts()?;
    let mut runs = Runs::new(options, 6);
    let mut summary = Summary::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    while let Some(round) = runs.next() {
        let name = ["tmpfs", "ext4"][round % 2];
        with_folder("disk-full", |path| {
            let mounted = path.join("mnt");
            let (_device, mount) = match name {
                "tmpfs" => (None, Mount::tmpfs(1500, &mounted)?),
                _ => {
                    let options = ["-q", "-O", "^has_journal"];
                    let device = Device::formatted(&path.join("disk"), 3, "mkfs.ext4", &options)?;
                    let mount = Mount::device(&device, &mounted)?;
                    (Some(device), mount)
                }
            };
            let mut disk = Disk {
                folder: mounted.join("audit"),
                ballast: mounted.join("ballast"),
                ledger: Ledger::default(),
                rng: Rng::derive(options.seed, 10 + round as u64),
                next: 0,
                summary: &mut summary,
            };
            runtime.block_on(disk.round(&mount)).map_err(|stop: Stop| {
                // The mount is removed on return, so copy the folder now.
                let _ = system::run("cp", [OsStr::new("-a"), disk.folder.as_ref(), path.as_ref()]);
                stop.within(format!("round {round} on {name}"))
            })?;
            mount.unmount()
        })?;
    }
    Ok(format!(
        "{} disks filled (tmpfs and ext4 in turn): {} writes acknowledged, {} refused with ENOSPC\n\
         while full: {} entries erased, {} erasures refused, opened for writing {} times\n\
         each continued in the same open store once there was room, and was read while read-only",
        runs.done(),
        summary.writes,
        summary.refused,
        summary.erased_while_full,
        summary.erasures_refused,
        summary.opened_while_full
    ))
}

struct Disk<'a> {
    folder: PathBuf,
    ballast: PathBuf,
    ledger: Ledger,
    rng: Rng,
    next: usize,
    summary: &'a mut Summary,
}

impl Disk<'_> {
    async fn round(&mut self, mount: &Mount) -> Result {
        fs::write(&self.ballast, vec![b'#'; BALLAST_BYTES])?;
        let mut storage = self.open(false).await?;
        let mut refused = 0;
        while refused < 6 {
            let count = if refused == 4 { 1 } else { self.rng.between(1, 30) };
            refused += usize::from(!self.write(&storage, count).await?);
        }
        self.check(&storage).await.map_err(|stop: Stop| stop.within("full"))?;
        self.erase(&storage, 8).await?;
        self.check(&storage).await.map_err(|stop: Stop| stop.within("erased while full"))?;
        storage = self.reopen_while_full(storage).await?;
        fs::remove_file(&self.ballast)?;
        for count in [1, 1, 5, 20, 1] {
            if !self.write(&storage, count).await? {
                return failed("a write fails although there is room again");
            }
        }
        let refused = self.summary.erasures_refused;
        self.erase(&storage, 3).await?;
        if self.summary.erasures_refused > refused {
            return failed("erasing fails although there is room again");
        }
        self.check(&storage).await.map_err(|stop: Stop| stop.within("after making room"))?;
        storage.close().await?;
        drop(storage);
        self.read_only(mount).await?;
        verify::folder(&self.folder, &self.ledger, verify::SAMPLED).await.map(drop)
    }

    async fn open(&self, read_only: bool) -> std::result::Result<FileStorage, StorageError> {
        let builder = FileStorage::builder(&self.folder).rotation_size_bytes(150_000);
        builder.read_only(read_only).open().await
    }

    /// Writes `count` entries; returns whether they were acknowledged. The only accepted error is a full disk.
    async fn write(&mut self, storage: &FileStorage, count: usize) -> Result<bool> {
        let ids: Vec<String> =
            (self.next..self.next + count).map(|number| sample::id(1, number)).collect();
        self.next += count;
        let entries: Vec<_> = ids.iter().map(|id| sample::entry(id)).collect::<Result<_>>()?;
        let call = format!("write-{}", ids[0]);
        self.ledger.take(Note::Write(call.clone(), ids))?;
        let outcome = match entries.as_slice() {
            [entry] => storage.write(entry).await.map(drop),
            _ if self.rng.percent(50) => storage.write_batch(&entries).await,
            _ => storage.append(&entries).await,
        };
        match outcome {
            Ok(()) => {
                self.ledger.take(Note::Done(call))?;
                self.summary.writes += 1;
                Ok(true)
            }
            Err(error) if is_full(&error) => {
                self.summary.refused += 1;
                Ok(false)
            }
            Err(error) => failed(format!("a write on a full disk: {}", chain(&error))),
        }
    }

    async fn erase(&mut self, storage: &FileStorage, count: usize) -> Result {
        for _ in 0..count {
            let there: Vec<&str> = self.ledger.with_fate(Fate::Present).collect();
            let Some(id) = self.rng.pick(&there).map(|id| (*id).to_owned()) else { return Ok(()) };
            let call = format!("erase-{id}");
            self.ledger.take(Note::Erase(call.clone(), id.clone()))?;
            match storage.delete(&EntryId::new_unchecked(&id)).await {
                Ok(true) => {
                    self.ledger.take(Note::Done(call))?;
                    self.summary.erased_while_full += 1;
                }
                Ok(false) => {
                    return failed(format!("delete returns false for {id}, which is present"));
                }
                Err(error) if is_full(&error) => self.summary.erasures_refused += 1,
                Err(error) => {
                    return failed(format!("erasing on a full disk: {}", chain(&error)));
                }
            }
        }
        Ok(())
    }

    async fn check(&self, storage: &FileStorage) -> Result {
        let rules = Rules { hidden: true, ..verify::SAMPLED };
        verify::contents(&self.folder, storage, &self.ledger, rules).await.map(drop)
    }

    /// Closes and reopens. Reading must work on a full disk; if opening for writing lacks room, some is made.
    async fn reopen_while_full(&mut self, storage: FileStorage) -> Result<FileStorage> {
        storage.close().await?;
        drop(storage);
        let reader = self.open(true).await?;
        self.check(&reader).await.map_err(|stop: Stop| stop.within("read while full"))?;
        match self.open(false).await {
            Ok(storage) => {
                self.summary.opened_while_full += 1;
                self.check(&storage).await.map_err(|stop| stop.within("opened while full"))?;
                Ok(storage)
            }
            Err(error) if is_full(&error) => {
                fs::File::options().write(true).open(&self.ballast)?.set_len(100_000)?;
                Ok(self.open(false).await?)
            }
            Err(error) => failed(format!("opening on a full disk: {}", chain(&error))),
        }
    }

    /// On a disk remounted read-only, reads work and writes fail with EROFS.
    async fn read_only(&mut self, mount: &Mount) -> Result {
        mount.remount("ro")?;
        let outcome = self.open(false).await;
        let is_read_only = |error: &StorageError| matches!(error, StorageError::Io { source, .. } if source.raw_os_error() == Some(READ_ONLY));
        match outcome {
            Err(error) if is_read_only(&error) => {}
            Err(error) => {
                return failed(format!("opening on a read-only disk: {}", chain(&error)));
            }
            Ok(storage) => {
                let entry = sample::entry(&sample::id(1, self.next))?;
                match storage.write(&entry).await {
                    Err(error) if is_read_only(&error) => {}
                    other => return failed(format!("a write on a read-only disk: {other:?}")),
                }
            }
        }
        let reader = self.open(true).await?;
        self.check(&reader).await.map_err(|stop: Stop| stop.within("read-only disk"))?;
        drop(reader);
        mount.remount("rw")
    }
}

fn is_full(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
        && error.is_retryable()
}
