//! Syncs that fail: a disk whose image lies on a tmpfs that is full.
//!
//! Writing to the disk goes to the page cache and succeeds. Syncing fails, because the image cannot
//! grow; the kernel drops the pages, and the second sync succeeds though they never got to the disk.
//! A store that believes the second sync loses what it acknowledged. That the disk behaves like
//! this is checked with a file of our own.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use attestry_core::{StorageBackend, StorageError};
use attestry_file::FileStorage;

use tokio::runtime::{Builder, Runtime};

use crate::ledger::{Fate, Ledger};
use crate::notes::{self, Note, Notes};
use crate::outcome::{Result, Stop, failed};
use crate::rng::Rng;
use crate::runs::{Options, Runs, with_folder};
use crate::system::{self, Device, Mount};
use crate::{sample, verify};

/// How often something is written after the first failure.
const ATTEMPTS_AFTER: usize = 25;

#[derive(Debug, Default)]
struct Summary {
    acknowledged: usize,
    syncs_failed: usize,
    writes_failed: usize,
    acknowledged_after: usize,
    second_sync_lied: usize,
    file_systems_damaged: usize,
}

/// Writes until syncs fail, goes on writing, takes the disk away and mounts it again with room:
/// every entry that was acknowledged must be there.
pub(crate) fn run(options: &Options) -> Result<String> {
    system::need_mounts()?;
    let mut runs = Runs::new(options, 6);
    let mut summary = Summary::default();
    let runtime = Builder::new_multi_thread().worker_threads(1).build()?;
    while let Some(round) = runs.next() {
        with_folder("fsync-error", |path| {
            let disk = Disk::new(path, options.seed, round, &runtime)?;
            disk.round(&runtime, &mut summary)
                .map_err(|stop: Stop| stop.within(format!("round {round}")))
        })?;
    }
    Ok(format!(
        "{} disks, {} entries acknowledged and there after mounting again ({} of them after the first \
         failure)\n{} writes refused for a failing sync, {} for another reason; on {} disks a plain \
         second sync of lost data succeeded; {} were not judged, since ext4 had lost blocks of its own",
        runs.done(),
        summary.acknowledged,
        summary.acknowledged_after,
        summary.syncs_failed,
        summary.writes_failed,
        summary.second_sync_lied,
        summary.file_systems_damaged
    ))
}

/// The layers, in the order in which they are taken away.
struct Disk {
    mount: Mount,
    mounted: PathBuf,
    device: Device,
    backing: Mount,
    /// KiB that the image may take.
    room: usize,
    rng: Rng,
}

impl Disk {
    fn new(path: &Path, seed: u64, round: usize, runtime: &Runtime) -> Result<Self> {
        let mut rng = Rng::derive(seed, 100 + round as u64);
        let (behind, mounted) = (path.join("behind"), path.join("mnt"));
        let backing = Mount::tmpfs(64 << 10, &behind)?;
        let image = behind.join("disk");
        // With a journal the file system turns read-only when that cannot be written; without one
        // it goes on, and the next sync succeeds.
        let options = match round % 3 {
            2 => ["-q", "-b", "4096", "-J", "size=4"],
            _ => ["-q", "-b", "4096", "-O", "^has_journal"],
        };
        let device = Device::formatted(&image, 100, "mkfs.ext4", &options)?;
        device.page_by_page()?;
        let mount = Mount::device(&device, &mounted)?;
        // What it takes to have the folder at all, then a little more.
        // Blocks of folders and inodes that were never written are not there yet either, and a file system that
        // cannot write those breaks down altogether.
        runtime.block_on(async {
            FileStorage::builder(mounted.join("audit")).open().await?.close().await
        })?;
        let many: Vec<_> = (0..60).map(|n| mounted.join(format!("audit/{n}"))).collect();
        many.iter().try_for_each(|file| fs::write(file, "some room"))?;
        system::run("sync", ["-f".as_ref(), mounted.as_os_str()])?;
        many.iter().try_for_each(fs::remove_file)?;
        system::run("sync", ["-f".as_ref(), mounted.as_os_str()])?;
        let used: usize = system::run("du", ["-k".as_ref(), image.as_os_str()])?
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .parse()?;
        let room = used + rng.between(150, 1500);
        backing.remount(&format!("size={room}k"))?;
        Ok(Self { mount, mounted, device, backing, room, rng })
    }

    fn round(mut self, runtime: &Runtime, summary: &mut Summary) -> Result {
        let folder = self.mounted.join("audit");
        let ledger = runtime.block_on(self.write(&folder, summary))?;
        summary.second_sync_lied += usize::from(self.second_sync_lies());
        self.mount.unmount()?;
        self.backing.remount("size=96m")?;
        let again = Mount::device(&self.device, &self.mounted)?;
        summary.acknowledged += ledger.count(Fate::There);
        let kept = self.mounted.with_file_name("evidence");
        let copied = system::run("cp", ["-a".as_ref(), folder.as_os_str(), kept.as_os_str()]);
        let judged = copied.and_then(|_| verify::blocking(&folder, &ledger, verify::SAMPLED));
        again.unmount()?;
        match judged {
            // Blocks of its own were lost ("lost async page write", says the kernel), and no fsync
            // had told. What a store acknowledged on such a disk, nobody could have kept.
            Err(_) if self.device.is_damaged()? => summary.file_systems_damaged += 1,
            judged => drop(judged?),
        }
        Ok(())
    }

    async fn write(&mut self, folder: &Path, summary: &mut Summary) -> Result<Ledger> {
        let mut ledger = Ledger::default();
        let notes = Notes::append_to(&self.mounted.with_file_name("notes"))?;
        let storage = FileStorage::builder(folder).rotation_size_bytes(200_000).open().await?;
        let (mut next, mut attempts_left) = (0, None);
        while attempts_left != Some(0) {
            if next > 50_000 {
                return failed("the disk does not get full");
            }
            let count = self.rng.between(1, 60);
            let ids: Vec<String> =
                (next..next + count).map(|number| sample::id(1, number)).collect();
            next += count;
            let entries: Vec<_> = ids.iter().map(|id| sample::entry(id)).collect::<Result<_>>()?;
            let call = notes::call(1, next);
            let note = Note::Write(call.clone(), ids);
            notes.put(&note)?;
            ledger.take(note)?;
            if attempts_left == Some(ATTEMPTS_AFTER / 2) {
                // Room for some more, until it fails again.
                self.backing.remount(&format!("size={}k", self.room + 500))?;
            }
            let outcome = storage.append(&entries).await;
            attempts_left = attempts_left.map(|left: usize| left - 1);
            match outcome {
                Ok(()) => {
                    let note = Note::Done(call);
                    notes.put(&note)?;
                    ledger.take(note)?;
                    summary.acknowledged_after += attempts_left.map_or(0, |_| entries.len());
                }
                Err(StorageError::Io { action, path, source, .. }) => {
                    let text = format!("cannot {action} {}: {source}", path.display());
                    notes.put(&Note::Refused(text))?;
                    attempts_left = attempts_left.or(Some(ATTEMPTS_AFTER));
                    match action.contains("sync") {
                        true => summary.syncs_failed += 1,
                        false => summary.writes_failed += 1,
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        // That the end cannot be put on the disk either is no wonder.
        let _ = storage.close().await;
        Ok(ledger)
    }

    /// Whether a second sync succeeds after one that failed, on a plain file.
    fn second_sync_lies(&self) -> bool {
        let Ok(mut file) = File::create(self.mounted.join("control")) else { return false };
        let _ = file.write_all(&vec![b'#'; 4 << 20]);
        file.sync_all().is_err() && file.sync_all().is_ok()
    }
}
