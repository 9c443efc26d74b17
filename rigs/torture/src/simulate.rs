//! Simulated power cuts: every system call of a run that changes the folder is recorded, and the folder is rebuilt as a
//! power cut might have left it.
//!
//! The run is the worker's script, which uses the public interface of the backend: single entries, batches, rotation,
//! erasing, expiring, closing and reopening. strace records it and kills it before some call; the next process begins by
//! retrying the pending writes. The last process runs to its end.
//!
//! # What the model covers
//!
//! * A cut after every recorded call, and within it.
//! * Bytes and lengths of a file are durable once an `fdatasync` or `fsync` of the file has returned that began after
//!   the write. Names of new, renamed and removed files are durable once their folder was synced in the same way; syncing
//!   a file does not make its name durable. The content of a folder whose name is lost is lost.
//! * Each change that is not durable may be lost or kept independently, in any order. A write may be torn at any byte,
//!   or lack any of its 512-byte sectors (zeros where the file grew).
//! * Entries acknowledged on standard output before the cut must be present.
//!
//! # What it does not cover
//!
//! * Disks that lose synced data or change unwritten bytes.
//! * Reordered changes of one name: if a file was renamed and a new one created under the old name, the new one never
//!   appears without the rename. A folder has one entry per name.
//! * Partial renames, with both names or none: file systems make a rename atomic, and it is durable once the folder of
//!   the new name was synced.
//! * Lost sectors may leave a corrupt line of an unacknowledged entry. The model allows that (file systems that write
//!   data before lengths do not do it) and requires every acknowledged entry.
//! * Concurrent processes: descriptors are tracked within one process only. The real power cuts cover them. A process
//!   is killed on entry of a call, which is not made, while no other relevant call is pending.
//! * A second cut during recovery; the real power cuts cover it.

mod disk;
mod record;
mod trace;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ledger::{Fate, Ledger};
use crate::notes::{Note, Notes};
use crate::outcome::{Result, Stop, failed, skipped};
use crate::rng::Rng;
use crate::runs::{Options, Runs, with_folder};
use crate::system;
use crate::verify::{self, Rules};
use crate::worker::{Role, WorkerArgs};

use disk::{Disk, LOSSES, Loss};
use record::{Life, Record};

/// Number of processes that are killed, one after the other.
const DEATHS: usize = 3;
/// One per process. With small segments, opening the store syncs the segment when it writes the index file, so the next
/// process need not.
const ROTATION_BYTES: [u64; DEATHS + 1] = [1 << 30, 1 << 30, 3_000, 3_000];
/// The calls before which processes are killed: a line written but not synced, within an erasure, a file created but its
/// name not synced.
const LAST_CALLS: &[&str] = &["fdatasync", "fdatasync", "pwrite64", "fsync"];

const SIGKILL: i32 = 9;

/// Cuts recorded runs at many moments with every kind of loss; by default two runs, with and without evidence, in turn.
pub(crate) fn run(options: &Options) -> Result<String> {
    system::need("strace")?;
    let mut runs = Runs::new(options, 3000);
    let mut rng = Rng::derive(options.seed, 4);
    let mut found = verify::Found::default();
    let summary = with_folder("simulate", |path| {
        let mut recorded = Vec::new();
        for (name, evidence) in [("plain", false), ("evidence", true)] {
            if options.evidence.is_none_or(|wanted| wanted == evidence) {
                let place = path.join(name);
                fs::create_dir(&place)?;
                recorded.push(Recorded::new(&place, options.seed, evidence)?);
            }
        }
        // In memory if possible: thousands of folders are synced.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory } else { path };
        while let Some(round) = runs.next() {
            let which = round % recorded.len();
            let loss = LOSSES[round / recorded.len() % LOSSES.len()];
            let cut = recorded[which].cut(place, path, loss, &mut rng)?;
            found.damaged += cut.damaged;
            found.torn_tails += cut.torn_tails;
            found.erasures_finished += cut.erasures_finished;
        }
        let runs: Vec<String> = recorded.iter().map(Recorded::summary).collect();
        Ok(runs.join("; "))
    })?;
    Ok(format!(
        "{summary}; {} cuts, each losing all, none, the last or any of the unsynced changes\n\
         {} torn tails quarantined, {} erasures finished; {} corrupt lines by lost sectors, none of an \
         acknowledged entry",
        runs.done(),
        found.torn_tails,
        found.erasures_finished,
        found.damaged
    ))
}

/// A recorded run, and the moments at which it is cut.
struct Recorded {
    record: Record,
    /// Number of killed processes.
    kills: usize,
    /// The folder of the run.
    root: PathBuf,
    /// Visited in steps that spread over the whole run.
    moments: Vec<usize>,
    last: usize,
}

impl Recorded {
    fn new(path: &Path, seed: u64, evidence: bool) -> Result<Self> {
        let root = path.join("recorded");
        let (record, kills) = record(path, &root, seed, evidence)?;
        let changes = record.steps.iter().flat_map(|step| [step.start, step.end]);
        // Acknowledgements are weighted: most entries are required then.
        let answers = record.printed.iter().flat_map(|(start, _)| [*start; 4]);
        let mut moments: Vec<usize> = changes.chain(answers).collect();
        moments.sort_unstable();
        Ok(Self { record, kills, root, moments, last: 0 })
    }

    /// Cuts at the next moment and checks the result, which is kept in `path` on failure.
    fn cut(
        &mut self,
        place: &Path,
        path: &Path,
        loss: Loss,
        rng: &mut Rng,
    ) -> Result<verify::Found> {
        self.last = (self.last + self.moments.len() * 618 / 1000 + 1) % self.moments.len();
        let moment = self.moments[self.last] + rng.below(2);
        let disk = Disk::after(&self.record, moment, loss, rng);
        let rebuilt = tempfile::tempdir_in(place)?;
        disk.build(&self.root, rebuilt.path())?;
        check(&self.record, moment, loss, rebuilt.path()).map_err(|stop: Stop| {
            let kept = path.join("found");
            if fs::create_dir(&kept).is_ok() {
                let _ = disk.build(&self.root, &kept);
            }
            stop.within(format!("cut at line {moment} of the trace, loss {loss:?}"))
        })
    }

    fn summary(&self) -> String {
        let signed =
            self.record.printed.iter().filter(|(_, text)| text.contains("signed ")).count();
        format!(
            "{} changes and {} syncs recorded of a run killed {} times, {signed} checkpoints issued",
            self.record.steps.len(),
            self.record.syncs,
            self.kills
        )
    }
}

/// Records the script with its kills and restarts; returns the record and the number of kills.
fn record(path: &Path, root: &Path, seed: u64, evidence: bool) -> Result<(Record, usize)> {
    fs::create_dir(root)?;
    let notes = path.join("notes");
    let mut rng = Rng::derive(seed, 5);
    let mut lives: Vec<Life> = Vec::new();
    let mut kills = 0;
    for number in 1..=DEATHS + 1 {
        let mut args = WorkerArgs::new(Role::Script, &root.join("audit"), &notes, number, seed);
        args.rotation_bytes = ROTATION_BYTES[number - 1];
        args.evidence = evidence;
        let death = rng.pick(LAST_CALLS).map(|call| (*call, rng.between(1, 13)));
        let death = death.filter(|_| number <= DEATHS);
        let (log, killed) = traced(&args, &path.join(format!("trace-{number}")), death)?;
        kills += usize::from(killed);
        let died = Note::Died(number);
        Notes::append_to(&notes)?.put(&died)?;
        let first = lives.last().map_or(0, |life| life.end + 1);
        let end = first + log.lines().count();
        lives.push(Life { calls: trace::parse(&log, first)?, end, obituary: died.line() });
    }
    Ok((record::read(root, lives)?, kills))
}

/// Runs a worker to its end, or kills it before the nth call of a kind. Returns the trace and whether it was killed.
fn traced(args: &WorkerArgs, log: &Path, death: Option<(&str, usize)>) -> Result<(String, bool)> {
    let command = args.command()?;
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-xx", "-s", "16777216", "-e"])
        .arg(format!("trace={}", trace::CALLS));
    if let Some((call, number)) = death {
        strace.arg("-e").arg(format!("inject={call}:signal=KILL:when={number}"));
    }
    strace.arg("-o").arg(log).arg(command.get_program()).args(command.get_args());
    let output = system::finish(&mut strace)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("Operation not permitted") {
        return skipped("strace is not permitted to trace");
    }
    let killed = death.is_some() && output.status.signal() == Some(SIGKILL);
    if !killed && !output.status.success() {
        return failed(format!("the recorded run fails: {errors}"));
    }
    Ok((fs::read_to_string(log)?, killed))
}

/// Compares the folder after the cut with the acknowledgements before it.
fn check(record: &Record, moment: usize, loss: Loss, rebuilt: &Path) -> Result<verify::Found> {
    let printed = record.printed.iter().filter(|(start, _)| *start <= moment);
    let text: String = printed.map(|(_, text)| text.as_str()).collect();
    let ledger = Ledger::from_text(&text)?;
    let folder = rebuilt.join("audit");
    if !folder.exists() && ledger.count(Fate::Present) == 0 {
        return Ok(verify::Found::default());
    }
    let rules = Rules { damage: loss == Loss::Sectors, ..verify::SAMPLED };
    verify::blocking(&folder, &ledger, rules)
}
