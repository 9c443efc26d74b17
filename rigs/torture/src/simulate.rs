//! Power cuts by simulation: every call of a run that changes the folder is recorded, and the
//! folder is rebuilt as a power cut might have left it.
//!
//! The run is the worker's script, which uses the backend by its public interface: single entries,
//! batches, rotation, erasing, expiring, closing and opening again. strace records it, and kills it
//! when it is about to make some call; another process then begins by writing again what was under
//! way. The last of them lives to its end.
//!
//! # What the model covers
//!
//! * A cut after every recorded call, and within it.
//! * Bytes and lengths of a file are certain once an `fdatasync` or `fsync` of the file has ended
//!   that began after they were written. Names (of new, renamed and removed files and folders) are
//!   certain once the folder that holds them was synced in the same way; syncing a file does not
//!   make its name certain. What lies in a folder whose own name is lost is lost.
//! * What is not certain may be lost or kept, each change by itself and whatever the order, so that
//!   a later change may be there and an earlier one not. A write may be torn at any byte, or any of
//!   its 512-byte sectors may be missing (found as zeros where the file grew).
//! * What was printed when the cut came is the acknowledgement: it must be there.
//!
//! # What it does not cover
//!
//! * Disks that lose what was synced, or change bytes that were not written.
//! * Changes of one name in another order: where a file got another name and a new one took its
//!   place, the new one is not found without the other's new name. A folder has one entry of a name.
//! * A rename that is half done, with both names or none: file systems make it one step, which is
//!   certain once the folder of the new name was synced.
//! * Lost sectors may leave a line that is no entry, where the entry was not acknowledged. The model
//!   allows that (file systems that write data before lengths do not do it), and demands that every
//!   acknowledged entry is there all the same.
//! * Processes at work at the same time: descriptors are told apart within one process only. The
//!   real power cuts have those. A process is killed on entering a call, which is not made, and
//!   while it makes no other that counts.
//! * A second cut while the first is recovered from; the real power cuts have those.

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

/// So many processes are killed, one after the other.
const DEATHS: usize = 3;
/// Of each process and the last. Where segments are small, opening the store puts what is there on
/// the disk, along with its index file, and the next process need not.
const ROTATION_BYTES: [u64; DEATHS + 1] = [1 << 30, 1 << 30, 3_000, 3_000];
/// Before a call of these kinds: where a line is written and not synced, within an erasure, where a
/// file is made and its name not synced.
const LAST_CALLS: &[&str] = &["fdatasync", "fdatasync", "pwrite64", "fsync"];

const SIGKILL: i32 = 9;

/// Cuts a recorded run at moments taken in turn, with every kind of loss. One run keeps no evidence
/// and one does, where nothing else is asked for; they take turns.
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
        // Memory, where there is some: thousands of folders are synced.
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
        let told: Vec<String> = recorded.iter().map(Recorded::told).collect();
        Ok(told.join("; "))
    })?;
    Ok(format!(
        "{summary}; {} cuts, each with all, none, the last, or any of the changes lost that were not \
         synced\n{} torn tails set aside, {} erasures finished; {} lines of lost sectors, none of an \
         acknowledged entry",
        runs.done(),
        found.torn_tails,
        found.erasures_finished,
        found.damaged
    ))
}

/// A run, and the moments at which it is cut.
struct Recorded {
    record: Record,
    /// How many processes were killed.
    kills: usize,
    /// The folder it ran in.
    root: PathBuf,
    /// Spread over the whole run however many there is time for.
    moments: Vec<usize>,
    last: usize,
}

impl Recorded {
    fn new(path: &Path, seed: u64, evidence: bool) -> Result<Self> {
        let root = path.join("recorded");
        let (record, kills) = record(path, &root, seed, evidence)?;
        let changes = record.steps.iter().flat_map(|step| [step.start, step.end]);
        // When something was acknowledged is when the most must be there: more often than its share.
        let answers = record.printed.iter().flat_map(|(start, _)| [*start; 4]);
        let mut moments: Vec<usize> = changes.chain(answers).collect();
        moments.sort_unstable();
        Ok(Self { record, kills, root, moments, last: 0 })
    }

    /// Cuts it at the next moment and looks at what is left; kept in `path` where that is wrong.
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

    fn told(&self) -> String {
        let signed =
            self.record.printed.iter().filter(|(_, text)| text.contains("signed ")).count();
        format!(
            "{} changes and {} syncs recorded of a run killed {} times, {signed} checkpoints handed out",
            self.record.steps.len(),
            self.record.syncs,
            self.kills
        )
    }
}

/// Records the script, killed and begun anew, and how often it was killed.
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

/// Runs a worker to its end, or until a thread of it is about to make the `n`th call of a kind. The
/// trace, and whether it was killed.
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
        return skipped("strace may not trace here");
    }
    let killed = death.is_some() && output.status.signal() == Some(SIGKILL);
    if !killed && !output.status.success() {
        return failed(format!("the run to record fails: {errors}"));
    }
    Ok((fs::read_to_string(log)?, killed))
}

/// Holds what the cut left against what had been printed.
fn check(record: &Record, moment: usize, loss: Loss, rebuilt: &Path) -> Result<verify::Found> {
    let printed = record.printed.iter().filter(|(start, _)| *start <= moment);
    let text: String = printed.map(|(_, text)| text.as_str()).collect();
    let ledger = Ledger::from_text(&text)?;
    let folder = rebuilt.join("audit");
    if !folder.exists() && ledger.count(Fate::There) == 0 {
        return Ok(verify::Found::default());
    }
    let rules = Rules { damage: loss == Loss::Sectors, ..verify::SAMPLED };
    verify::blocking(&folder, &ledger, rules)
}
