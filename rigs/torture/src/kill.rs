//! Processes are killed at random moments, on one folder that is reused from round to round.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use attestry_core::line;

use crate::anchors::Servers;
use crate::ledger::{Fate, Ledger};
use crate::notes::{Note, Notes};
use crate::outcome::{Result, Stop, failed};
use crate::rng::Rng;
use crate::runs::{Options, Runs, with_folder};
use crate::worker::{Role, Running, WorkerArgs};
use crate::{sample, system, verify};

/// Rounds on one folder before a fresh one; every second folder has evidence.
const ROUNDS_PER_FOLDER: usize = 10;

/// The worker in the ids of torn lines; there is none of this number.
const TORN_BY: usize = 999_999;

#[derive(Debug, Default)]
struct Summary {
    kills: usize,
    acknowledged: usize,
    erased: usize,
    rewritten: usize,
    differed: usize,
    in_doubt: usize,
    reads: usize,
    torn: usize,
    torn_tails: usize,
    erasures_finished: usize,
    checkpoints: usize,
    /// To witnesses and authorities.
    requests: usize,
}

/// Kills writers, readers and cleaners with SIGKILL. After each round every acknowledged entry must be present once, no
/// erased entry may be, and every line must be whole. A worker started after a kill retries the pending writes.
pub(crate) fn run(options: &Options) -> Result<String> {
    rounds("kill", options, false)
}

/// The same, with evidence that is handed over to a witness and a timestamp authority, which fail at random. They must
/// never see a contradiction, and what they sign must hold.
pub(crate) fn run_with_anchors(options: &Options) -> Result<String> {
    system::need("openssl")?;
    rounds("anchors", options, true)
}

fn rounds(name: &str, options: &Options, anchored: bool) -> Result<String> {
    let mut runs = Runs::new(options, 200);
    let mut rng = Rng::derive(options.seed, 1);
    let mut summary = Summary::default();
    let mut folders = 0;
    while let Some(first) = runs.next() {
        folders += 1;
        with_folder(name, |path| {
            let evidence = anchored || options.with_evidence(folders);
            let servers = anchored.then(|| Servers::start(rng.next()));
            let settings = (options, evidence, servers.as_ref());
            one_folder(path, settings, first, &mut runs, &mut rng, &mut summary)?;
            summary.requests += servers.map_or(0, |servers| servers.requests());
            Ok(())
        })?;
    }
    Ok(format!(
        "{} rounds on {folders} folders, {} processes killed\n\
         {} entries acknowledged and present once, {} erased and absent, {} pending when killed\n\
         {} entries written again, {} conflicting entries refused\n\
         {} concurrent reads of the whole store, none saw a partial or an erased entry\n\
         {} lines torn, {} quarantined at the next open, {} erasures finished then\n\
         {} checkpoints issued, each consistent with the final tree{}",
        runs.done(),
        summary.kills,
        summary.acknowledged,
        summary.erased,
        summary.in_doubt,
        summary.rewritten,
        summary.differed,
        summary.reads,
        summary.torn,
        summary.torn_tails,
        summary.erasures_finished,
        summary.checkpoints,
        if anchored {
            format!("; {} requests for signatures of others", summary.requests)
        } else {
            String::new()
        }
    ))
}

fn one_folder(
    path: &Path,
    (options, evidence, servers): (&Options, bool, Option<&Servers>),
    first: usize,
    runs: &mut Runs,
    rng: &mut Rng,
    summary: &mut Summary,
) -> Result {
    let (folder, notes) = (path.join("audit"), path.join("notes"));
    let deaths = Notes::append_to(&notes)?;
    let mut round = first;
    let mut number = 0;
    let mut reader: Option<Running> = None;
    let ledger = loop {
        let mut start = |role| {
            number += 1;
            let mut args =
                WorkerArgs::new(role, &folder, &notes, number, options.seed + round as u64);
            args.rotation_bytes = [2_000, 20_000, 200_000][round % 3];
            args.evidence = evidence;
            args.anchors = servers.map(Servers::arguments).unwrap_or_default();
            args.spawn()
        };
        let mut roles = vec![Role::Writer; options.writers];
        if options.writers == 1 {
            roles = vec![Role::Both];
        } else {
            roles.push(Role::Cleaner);
        }
        roles.extend(reader.is_none().then_some(Role::Reader));
        let mut workers: Vec<Running> =
            roles.iter().map(|&role| start(role)).collect::<Result<_>>()?;
        workers.extend(reader.take());
        for _ in 0..rng.below(3) {
            thread::sleep(Duration::from_micros(rng.between(5_000, 150_000) as u64));
            let victim = workers.swap_remove(rng.below(workers.len()));
            let role = victim.role;
            victim.kill(&deaths)?;
            summary.kills += 1;
            if rng.percent(30) {
                summary.torn += usize::from(tear(&folder, rng)?);
            }
            workers.push(start(role)?);
        }
        thread::sleep(Duration::from_micros(rng.between(2_000, 200_000) as u64));
        if rng.percent(70) {
            // The reader continues while the other workers are dead and recovery runs.
            let at = workers.iter().position(|worker| worker.role == Role::Reader);
            reader = at.map(|at| workers.swap_remove(at));
        }
        summary.kills += workers.len();
        while !workers.is_empty() {
            workers.swap_remove(rng.below(workers.len())).kill(&deaths)?;
        }
        if rng.percent(30) {
            summary.torn += usize::from(tear(&folder, rng)?);
            // Time for the reader to meet it.
            thread::sleep(Duration::from_millis(20));
        }
        let ledger = Ledger::load(&notes)?;
        summary.in_doubt += ledger.count(Fate::Unknown);
        check(&folder, &notes, &ledger, summary)
            .and_then(|()| servers.map_or(Ok(()), |servers| servers.check(&folder)))
            .map_err(|stop: Stop| stop.within(format!("round {round}")))?;
        if runs.done() - first >= ROUNDS_PER_FOLDER {
            break ledger;
        }
        match runs.next() {
            Some(next) => round = next,
            None => break ledger,
        }
    };
    summary.acknowledged += ledger.count(Fate::Present);
    summary.erased += ledger.count(Fate::Absent);
    summary.rewritten += ledger.rewritten;
    summary.differed += ledger.differed;
    summary.reads += ledger.reads;
    summary.checkpoints += ledger.signed.len();
    Ok(())
}

/// Appends the beginning of a line to the newest segment, unless it ends with one already; returns whether it did. This is
/// what a process leaves that is killed during a write: ext4 looks for signals after each page. By chance one kill in
/// thousands does.
fn tear(folder: &Path, rng: &mut Rng) -> Result<bool> {
    let Ok(lock) = File::open(folder.join(".attestry/lock")) else { return Ok(false) };
    lock.lock()?;
    let names =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    let names = names.iter().filter_map(|name| name.to_str());
    let Some(newest) = names.filter(|name| name.len() == "audit_20260101.jsonl".len()).max() else {
        return Ok(false);
    };
    let path = folder.join(newest);
    if fs::read(&path)?.last().is_some_and(|last| *last != b'\n') {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    line::encode_into(&sample::entry(&sample::id(TORN_BY, rng.below(1_000)))?, &mut bytes)?;
    bytes.truncate(rng.between(1, bytes.len() - 2));
    OpenOptions::new().append(true).open(path)?.write_all(&bytes)?;
    Ok(true)
}

fn check(folder: &Path, notes: &Path, ledger: &Ledger, summary: &mut Summary) -> Result {
    if let Some(problem) = ledger.problems.first() {
        return failed(problem.clone());
    }
    if !folder.exists() {
        return Ok(()); // killed before any worker opened it
    }
    let found = verify::blocking(folder, ledger, verify::SAMPLED)?;
    summary.torn_tails += found.torn_tails;
    summary.erasures_finished += found.erasures_finished;
    Notes::append_to(notes)?.put(&Note::Settled(found.ids))?;
    Ok(())
}
