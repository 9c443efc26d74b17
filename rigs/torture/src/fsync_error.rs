//! Failing syncs: a disk whose image is on a full tmpfs.
//!
//! Writes go to the page cache and succeed. The sync fails, because the image cannot grow; the kernel drops the dirty
//! pages, and a second sync succeeds although they never reached the disk. A store that trusts the second sync loses
//! acknowledged entries. A control file shows whether the disk behaved like this.

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

/// Number of writes after the first failure.
const ATTEMPTS_AFTER: usize = 25;

#[derive(Debug, Default)]
struct Summary {
    acknowledged: usize,
    syncs_failed: usize,
    writes_failed: usize,
    acknowledged_after: usize,
    false_second_syncs: usize,
    file_systems_damaged: usize,
}

/// Writes until syncs fail, continues writing, unmounts, and mounts again with room: every acknowledged entry must be
/// present.
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
        "{} disks, {} entries acknowledged and present after mounting again ({} of them after the first \
         failure)\n{} writes refused after a failed sync, {} for another reason; on {} disks a plain \
         second sync of lost data succeeded; {} disks not judged, because ext4 lost metadata blocks",
        runs.done(),
        summary.acknowledged,
        summary.acknowledged_after,
        summary.syncs_failed,
        summary.writes_failed,
        summary.false_second_syncs,
        summary.file_systems_damaged
    ))
}

/// The layers, in drop order.
struct Disk {
    mount: Mount,
    mounted: PathBuf,
    device: Device,
    backing: Mount,
    /// Size limit of the image in KiB.
    room: usize,
    rng: Rng,
}

impl Disk {
    fn new(path: &Path, seed: u64, round: usize, runtime: &Runtime) -> Result<Self> {
        let mut rng = Rng::derive(seed, 100 + round as u64);
        let (backing_path, mounted) = (path.join("backing"), path.join("mnt"));
        let backing = Mount::tmpfs(64 << 10, &backing_path)?;
        let image = backing_path.join("disk");
        // With a journal the file system becomes read-only when the journal cannot be written; without one it
        // continues, and the next sync succeeds.
        let options = match round % 3 {
            2 => ["-q", "-b", "4096", "-J", "size=4"],
            _ => ["-q", "-b", "4096", "-O", "^has_journal"],
        };
        let device = Device::formatted(&image, 100, "mkfs.ext4", &options)?;
        device.limit_to_pages()?;
        let mount = Mount::device(&device, &mounted)?;
        // Allocates the blocks of the folder and of some inodes. If the file system cannot write its own metadata,
        // it fails altogether.
        runtime.block_on(async {
            FileStorage::builder(mounted.join("audit")).open().await?.close().await
        })?;
        let many: Vec<_> = (0..60).map(|n| mounted.join(format!("audit/{n}"))).collect();
        many.iter().try_for_each(|file| fs::write(file, "reserved"))?;
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
        summary.false_second_syncs += usize::from(self.second_sync_succeeds());
        self.mount.unmount()?;
        self.backing.remount("size=96m")?;
        let again = Mount::device(&self.device, &self.mounted)?;
        summary.acknowledged += ledger.count(Fate::Present);
        let kept = self.mounted.with_file_name("evidence");
        let copied = system::run("cp", ["-a".as_ref(), folder.as_os_str(), kept.as_os_str()]);
        let judged = copied.and_then(|_| verify::blocking(&folder, &ledger, verify::SAMPLED));
        again.unmount()?;
        match judged {
            // ext4 lost metadata blocks (kernel log: "lost async page write") without any fsync reporting it. No store
            // can keep an acknowledged entry on such a disk.
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
                return failed("the disk does not become full");
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
                // Makes room for some entries, until it fails again.
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
        // Closing may fail on this disk.
        let _ = storage.close().await;
        Ok(ledger)
    }

    /// Whether a second sync of a plain file succeeds after the first failed.
    fn second_sync_succeeds(&self) -> bool {
        let Ok(mut file) = File::create(self.mounted.join("control")) else { return false };
        let _ = file.write_all(&vec![b'#'; 4 << 20]);
        file.sync_all().is_err() && file.sync_all().is_ok()
    }
}
