//! Power cuts: file systems on loop devices are shut down while workers write. In some rounds workers are killed first
//! and others retry their pending writes before the cut, so that they acknowledge lines which the killed workers wrote
//! but did not sync.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::ledger::{Fate, Ledger};
use crate::notes::{Note, Notes};
use crate::outcome::{Result, Stop, failed};
use crate::rng::Rng;
use crate::runs::{Options, Runs, with_folder};
use crate::system::{self, Device, Mount};
use crate::worker::{Role, WorkerArgs};
use crate::{shutdown, verify};

struct FileSystem {
    name: &'static str,
    mkfs: &'static str,
    options: &'static [&'static str],
    mib: u64,
}

const FILE_SYSTEMS: &[FileSystem] = &[
    FileSystem { name: "ext4", mkfs: "mkfs.ext4", options: &["-q"], mib: 128 },
    FileSystem { name: "xfs", mkfs: "mkfs.xfs", options: &["-q"], mib: 320 },
];

/// Cuts the power (`FS_IOC_SHUTDOWN` without a log flush) under load, mounts again, and compares the folder with all
/// acknowledgements. The folder is reused in the next round.
pub(crate) fn run(options: &Options) -> Result<String> {
    system::need_mounts()?;
    let mut lines = Vec::new();
    let mut tested = 0;
    for file_system in FILE_SYSTEMS {
        let mut options = options.clone();
        options.seconds = options.seconds.map(|seconds| seconds / FILE_SYSTEMS.len() as u64);
        let outcome = with_folder("power-cut", |path| {
            let kept = path.join("evidence");
            on(file_system, path, &kept, &options)
        });
        lines.push(match outcome {
            Ok(summary) => {
                tested += 1;
                format!("{}: {summary}", file_system.name)
            }
            Err(Stop::Skipped(reason)) => format!("{}: skipped: {reason}", file_system.name),
            Err(stop) => return Err(stop.within(file_system.name)),
        });
    }
    if tested == 0 { Err(Stop::Skipped(lines.join("; "))) } else { Ok(lines.join("\n")) }
}

fn on(file_system: &FileSystem, path: &Path, kept: &Path, options: &Options) -> Result<String> {
    system::need(file_system.mkfs)?;
    let (image, mounted, notes) = (path.join("disk"), path.join("mnt"), path.join("notes"));
    let mut device =
        Device::formatted(&image, file_system.mib, file_system.mkfs, file_system.options)?;
    let mut mount = Mount::device(&device, &mounted)?;
    let mut rng = Rng::derive(options.seed, 2);
    let mut runs = Runs::new(options, 30);
    let (mut torn_tails, mut erasures_finished, mut folders) = (0, 0, 0);
    let mut workers = 0;
    let (mut acknowledged, mut erased, mut rewritten, mut kills) = (0, 0, 0, 0);
    let mut ledger = Ledger::default();
    while let Some(round) = runs.next() {
        if round > 0 && round % 20 == 0 {
            // A fresh disk before the old one is full.
            folders += 1;
            acknowledged += ledger.count(Fate::Present);
            erased += ledger.count(Fate::Absent);
            rewritten += ledger.rewritten;
            mount.unmount()?;
            drop(device);
            fs::remove_file(&notes)?;
            device =
                Device::formatted(&image, file_system.mib, file_system.mkfs, file_system.options)?;
            mount = Mount::device(&device, &mounted)?;
        }
        let folder = mounted.join("audit");
        let deaths = Notes::append_to(&notes)?;
        let mut start = |role, buffered| {
            workers += 1;
            let seed = options.seed + round as u64;
            let mut args = WorkerArgs::new(role, &folder, &notes, workers, seed);
            args.may_fail = true;
            args.buffered = buffered;
            args.rotation_bytes = [2_000, 20_000, 200_000][round % 3];
            args.evidence = options.with_evidence(round / 20);
            args.spawn()
        };
        let generations = rng.between(1, 4);
        // A retrier adds no entry, so that no other sync covers the retried lines. If it opens the store before the
        // others are killed, the sync of opening does not cover them either.
        let retries = generations > 1 && rng.percent(60);
        let early = if retries && rng.percent(60) {
            let worker = start(Role::Retrier, false)?;
            thread::sleep(Duration::from_micros(rng.between(20_000, 60_000) as u64));
            Some(worker)
        } else {
            None
        };
        for _ in 1..generations {
            let worker = start(Role::Both, rng.percent(75))?;
            thread::sleep(Duration::from_micros(rng.between(20_000, 150_000) as u64));
            worker.kill(&deaths)?;
            kills += 1;
        }
        let worker = match early {
            Some(worker) => worker,
            None => start(if retries { Role::Retrier } else { Role::Both }, false)?,
        };
        thread::sleep(Duration::from_micros(rng.between(20_000, 400_000) as u64));
        let noted = fs::metadata(&notes)?.len();
        shutdown::file_system(&mounted)?;
        // After a real cut no call returns. Here pending calls return, most with an error; but a sync that races with
        // the shutdown may return success.
        thread::sleep(Duration::from_millis(rng.below(10) as u64));
        worker.kill(&deaths)?;
        mount.unmount()?;
        mount = Mount::device(&device, &mounted)?;
        drop_answers_after(&notes, noted)?;
        ledger = Ledger::load(&notes)?;
        if !folder.exists() && ledger.count(Fate::Present) == 0 {
            continue; // cut before the folder was durable
        }
        copy(&folder, kept)?;
        let found = verify::blocking(&folder, &ledger, verify::SAMPLED)
            .map_err(|stop| stop.within(format!("round {round}")))?;
        torn_tails += found.torn_tails;
        erasures_finished += found.erasures_finished;
        Notes::append_to(&notes)?.put(&Note::Settled(found.ids))?;
    }
    mount.unmount()?;
    acknowledged += ledger.count(Fate::Present);
    erased += ledger.count(Fate::Absent);
    rewritten += ledger.rewritten;
    if acknowledged == 0 && runs.done() > 2 {
        return failed("nothing was acknowledged in any round");
    }
    Ok(format!(
        "{} cuts on {} disks; {acknowledged} entries acknowledged and present once, {erased} erased and \
         absent; {kills} processes killed before a cut, {rewritten} entries written again; \
         {torn_tails} torn tails quarantined, {erasures_finished} erasures finished",
        runs.done(),
        folders + 1
    ))
}

/// Drops the acknowledgements noted after the first `length` bytes: they came after the cut. The calls stay noted as
/// pending.
fn drop_answers_after(notes: &Path, length: u64) -> Result {
    let text = fs::read_to_string(notes)?;
    let (before, after) = text.split_at(usize::try_from(length)?.min(text.len()));
    let mut notes_after = Note::all(after)?;
    notes_after.retain(|note| !note.is_answer());
    let kept: String = notes_after.iter().map(Note::line).collect();
    fs::write(notes, format!("{before}\n{kept}"))?;
    Ok(())
}

/// Keeps a copy of the folder as found, for a failure report.
fn copy(folder: &Path, to: &Path) -> Result {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    system::run("cp", [std::ffi::OsStr::new("-a"), folder.as_ref(), to.as_ref()]).map(drop)
}
