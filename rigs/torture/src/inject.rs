//! Errors injected by strace into each system call of the `attestry` program in turn.
//!
//! Only calls on files of the store fail. For each kind of call and error, the program runs with the first call failing,
//! then the second, until a run has no such call. strace counts calls per thread. Short writes are caused by a limit on
//! file sizes (`prlimit --fsize`), at sizes across the whole file.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use attestry_core::{AuditEntry, StorageBackend, Timestamp, create_entry_id, hash_content};
use attestry_file::FileStorage;

use crate::ledger::Ledger;
use crate::outcome::{Result, Stop, failed, skipped};
use crate::rng::Rng;
use crate::runs::{Options, Runs, with_folder};
use crate::verify::{self, Rules};
use crate::{evidence, system};

/// Calls and their errors. The pairs fail the nth call of the first kind and every call of the second: a sync or write,
/// and each attempt to truncate what it left.
const INJECTIONS: &[&[(&str, &str)]] = &[
    &[("fdatasync", "EIO")],
    &[("write", "ENOSPC")],
    &[("fsync", "EIO")],
    &[("pwrite64", "EIO")],
    &[("pwrite64", "ENOSPC")],
    &[("write", "EIO")],
    &[("rename,renameat,renameat2", "EIO")],
    &[("unlink,unlinkat", "EIO")],
    &[("ftruncate", "EIO")],
    &[("openat", "EMFILE")],
    &[("fdatasync", "EIO"), ("ftruncate", "EIO")],
    &[("write", "ENOSPC"), ("ftruncate", "EIO")],
];

/// The commands to run.
const TASKS: &[&str] = &["import", "delete", "cleanup", "compact"];

#[derive(Debug, Default)]
struct Summary {
    runs: usize,
    hit: usize,
    refused: usize,
    short_writes: usize,
}

/// Fails each call of an import, a deletion, a cleanup and a compaction once.
pub(crate) fn run(options: &Options) -> Result<String> {
    system::need("strace")?;
    let program = program(options)?;
    let probe = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output()?;
    if !probe.status.success() {
        return skipped("strace is not permitted to trace");
    }
    let mut summary = Summary::default();
    let mut all: Vec<(usize, &str)> = Vec::new();
    for injection in 0..INJECTIONS.len() {
        all.extend(TASKS.iter().map(|task| (injection, *task)));
    }
    // In random order, so that short runs cover different parts.
    let mut rng = Rng::derive(options.seed, 3);
    let mut runs = Runs::new(options, usize::MAX);
    let mut finished = 0;
    let total = all.len() + 1;
    with_folder("strace", |path| {
        let scene = Scene::new(path, program, options.with_evidence(0))?;
        scene.short_writes(&mut runs, &mut rng, &mut summary)?;
        finished += 1;
        while !all.is_empty() {
            let (injection, task) = all.swap_remove(rng.below(all.len()));
            for when in 1.. {
                if runs.next().is_none() {
                    return Ok(());
                }
                let kind = INJECTIONS[injection];
                let place = || format!("{task} with {kind:?} at call {when}");
                let hit = scene
                    .injected(task, kind, when, &mut summary)
                    .map_err(|stop: Stop| stop.within(place()))?;
                if !hit {
                    break;
                }
            }
            finished += 1;
        }
        Ok(())
    })?;
    Ok(format!(
        "{} runs of import, delete, cleanup and compact; an error injected into {} of them, {} reported it and \
         ended with status 2\n{} imports with short writes\n{finished} of {total} kinds of failure \
         completed at every call",
        summary.runs, summary.hit, summary.refused, summary.short_writes
    ))
}

pub(crate) fn program(options: &Options) -> Result<PathBuf> {
    let sibling = std::env::current_exe()?.with_file_name("attestry");
    let program = options.attestry.clone().unwrap_or(sibling);
    if program.is_file() {
        return Ok(program);
    }
    skipped(format!("{} is missing: cargo build --package attestry-cli", program.display()))
}

/// Files that all runs use.
struct Scene {
    path: PathBuf,
    program: PathBuf,
    /// Interactions to import.
    input: PathBuf,
    /// The key, for stores with evidence.
    signing_key: Option<PathBuf>,
    /// A store with entries, and their ids.
    filled: PathBuf,
    ids: Vec<String>,
    /// The same store after a deletion, to compact.
    eroded: PathBuf,
}

const INTERACTIONS: usize = 40;

impl Scene {
    fn new(path: &Path, program: PathBuf, evidence: bool) -> Result<Self> {
        let signing_key = evidence.then(|| path.join("signing.key"));
        if let Some(file) = &signing_key {
            evidence::key()?.write_new_file(file)?;
        }
        let scene = Self {
            signing_key,
            path: path.to_path_buf(),
            program,
            input: path.join("interactions.jsonl"),
            filled: path.join("filled"),
            ids: Vec::new(),
            eroded: path.join("eroded"),
        };
        let filler = "x".repeat(55_000);
        let interaction = |number: usize| {
            let day = 1 + number % 28;
            let output = if number.is_multiple_of(2) { &filler } else { "short" };
            serde_json::json!({
                "input": format!("question {number}"), "output": output,
                "timestamp": format!("2020-01-{day:02}T00:00:00"),
            })
        };
        // Over 1 MiB in two imports: the smallest rotation size of a URL.
        let lines: Vec<String> =
            (0..INTERACTIONS).map(|number| format!("{}\n", interaction(number))).collect();
        fs::write(&scene.input, lines.concat())?;
        let imported = system::finish(&mut scene.attestry(&scene.filled, "import"))?;
        let ids = printed(&imported);
        if !imported.status.success() || ids.len() != INTERACTIONS {
            return failed(format!("an import without injection fails: {}", errors(&imported)));
        }
        let scene = Self { ids, ..scene };
        copy(&scene.filled, &scene.eroded)?;
        let deleted = system::finish(&mut scene.attestry(&scene.eroded, "delete"))?;
        if !deleted.status.success() {
            return failed(format!("a deletion without injection fails: {}", errors(&deleted)));
        }
        Ok(scene)
    }

    /// The command line of a task on a store.
    fn attestry(&self, store: &Path, task: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_remove("ATTESTRY_KEY")
            .env_remove("ATTESTRY_KEY_FILE")
            .env_remove("ATTESTRY_SIGNING_KEY_FILE")
            .env_remove("ATTESTRY_ERASURE_KEY_FILE")
            .envs(self.signing_key.iter().map(|key| ("ATTESTRY_SIGNING_KEY_FILE", key)))
            .env("ATTESTRY_STATE", store.with_extension("signed"))
            .arg("--store")
            .arg(format!("file://{}?rotation_size_mb=1", store.display()));
        match task {
            "import" => command.args(["import", "--store-content"]).arg(&self.input),
            "delete" => command.arg("delete").args(self.to_delete()),
            "compact" => command.arg("compact"),
            _ => command.args(["cleanup", "--retention-days", "1", "--yes"]),
        };
        command
    }

    fn to_delete(&self) -> impl Iterator<Item = &String> {
        self.ids.iter().step_by(7)
    }

    /// A new store named `name`, as it is before the task.
    fn store(&self, task: &str, name: &str) -> Result<PathBuf> {
        let store = self.path.join(name);
        let before = if task == "compact" { &self.eroded } else { &self.filled };
        copy(before, &store)?;
        Ok(store)
    }

    /// The expected state of the store after the task, by its output.
    fn ledger(&self, task: &str, output: &Output, store: &Path) -> Result<Ledger> {
        let mut ledger = Ledger::default();
        let mut wanted: BTreeSet<String> = self.ids.iter().cloned().collect();
        let printed = printed(output);
        let done = output.status.success();
        match task {
            "import" => wanted.extend(printed.iter().cloned()),
            "delete" => printed.iter().for_each(|id| {
                wanted.remove(id);
            }),
            "compact" => self.to_delete().for_each(|id| {
                wanted.remove(id);
            }),
            _ if done => wanted.clear(),
            _ => {}
        }
        // Unprinted ids are random: any other entry present was written by the import.
        for id in self.ids.iter().cloned().chain(ids_in(store)?) {
            if task == "import" || self.ids.contains(&id) {
                ledger.expect(&id, Timestamp::UNIX_EPOCH);
            }
        }
        for id in &wanted {
            ledger.expect(id, Timestamp::UNIX_EPOCH);
            ledger.acknowledge(id);
        }
        let unknown: Vec<&String> = match task {
            "import" | "compact" => Vec::new(),
            "delete" => self.to_delete().filter(|id| !printed.contains(id)).collect(),
            _ if done => Vec::new(),
            _ => self.ids.iter().collect(),
        };
        for id in unknown {
            ledger.take(crate::notes::Note::Erase(format!("erase-{id}"), id.clone()))?;
        }
        for id in self.ids.iter().filter(|id| !wanted.contains(*id)) {
            ledger.strike(id);
        }
        Ok(ledger)
    }

    /// Runs the task with the `when`th call failing; returns whether there was such a call.
    fn injected(
        &self,
        task: &str,
        kind: &[(&str, &str)],
        when: usize,
        summary: &mut Summary,
    ) -> Result<bool> {
        let store = self.store(task, "store")?;
        let log = self.path.join("strace");
        let command = self.attestry(&store, task);
        let calls: Vec<&str> = kind.iter().map(|(calls, _)| *calls).collect();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-qq", "-s", "0", "-e"]).arg(format!("trace={}", calls.join(",")));
        for (index, (calls, error)) in kind.iter().enumerate() {
            let when = if index == 0 { when.to_string() } else { "1+".to_owned() };
            strace.arg("-e").arg(format!("inject={calls}:error={error}:when={when}"));
        }
        for path in self.paths(task, &store)? {
            strace.arg("-P").arg(path);
        }
        strace.arg("-o").arg(&log).arg(command.get_program()).args(command.get_args());
        let output = system::finish(&mut strace)?;
        let log = fs::read_to_string(&log)?;
        let first = kind[0].0.split(',').collect::<Vec<_>>();
        let hits: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("(INJECTED)") && first.iter().any(|c| line.contains(c)))
            .collect();
        summary.runs += 1;
        summary.hit += usize::from(!hits.is_empty());
        let all = match task {
            "import" => INTERACTIONS,
            "delete" => self.to_delete().count(),
            _ => 0,
        };
        self.check_exit(&output, all)
            .and_then(|refused| {
                summary.refused += usize::from(refused);
                let repeated = kind.iter().any(|(calls, _)| calls.contains("sync"));
                self.check(task, &output, &store, repeated)
            })
            .map_err(|stop: Stop| stop.within(hits.join("; ")))?;
        Ok(!hits.is_empty())
    }

    /// Every file of the store that the task opens, from a run without injection.
    fn paths(&self, task: &str, store: &Path) -> Result<BTreeSet<String>> {
        let log = self.path.join("opened");
        let other = self.store(task, "rehearsal")?;
        let command = self.attestry(&other, task);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-s", "4096", "-e", "trace=%file", "-o"]).arg(&log);
        system::finish(strace.arg(command.get_program()).args(command.get_args()))?;
        let root = other.display().to_string();
        let text = fs::read_to_string(&log)?;
        let quoted = text.split('"').filter(|part| part.starts_with(&root));
        Ok(quoted.map(|path| path.replacen(&root, &store.display().to_string(), 1)).collect())
    }

    /// Imports with a limit on file sizes, so that a write is short.
    fn short_writes(&self, runs: &mut Runs, rng: &mut Rng, summary: &mut Summary) -> Result {
        system::need("prlimit")?;
        let full = fs::metadata(&self.input)?.len() as usize;
        for _ in 0..12 {
            if runs.next().is_none() {
                return Ok(());
            }
            let limit = rng.between(1, full);
            let store = self.path.join("store");
            if store.exists() {
                fs::remove_dir_all(&store)?;
            }
            let command = self.attestry(&store, "import");
            let mut limited = Command::new("sh");
            // With SIGXFSZ ignored, the write is short and the next one fails.
            limited.args(["-c", "trap '' XFSZ; exec prlimit \"$@\"", "sh"]);
            limited.arg(format!("--fsize={limit}"));
            limited.arg(command.get_program()).args(command.get_args());
            let output = system::finish(&mut limited)?;
            let outcome = self.check_exit(&output, INTERACTIONS).and_then(|_| {
                let mut ledger = Ledger::default();
                for id in ids_in(&store)?.into_iter().chain(printed(&output)) {
                    ledger.expect(&id, Timestamp::UNIX_EPOCH);
                }
                printed(&output).iter().for_each(|id| ledger.acknowledge(id));
                usable(&store, &ledger, verify::PROGRAM)
            });
            outcome.map_err(|stop: Stop| stop.within(format!("files of at most {limit} bytes")))?;
            summary.short_writes += 1;
            summary.runs += 1;
        }
        Ok(())
    }

    /// Checks for a panic, a signal, a success that printed less than `all` ids, and a failure without a message.
    /// Returns whether the task failed.
    fn check_exit(&self, output: &Output, all: usize) -> Result<bool> {
        let errors = errors(output);
        match output.status.code() {
            _ if errors.contains("panicked") => failed(format!("a panic: {errors}")),
            Some(0) if printed(output).len() < all => {
                failed("status 0, but not all ids were printed")
            }
            Some(0) => Ok(false),
            Some(2) if errors.is_empty() => failed("status 2 without a message"),
            Some(2) => Ok(true),
            _ => failed(format!("ended with {}: {errors}", output.status)),
        }
    }

    fn check(&self, task: &str, output: &Output, store: &Path, repeated: bool) -> Result {
        let ledger = self.ledger(task, output, store)?;
        let rules = Rules { repeated, ..verify::PROGRAM };
        usable(store, &ledger, rules).map_err(|stop: Stop| stop.within(errors(output)))
    }
}

/// Compares the store with the ledger, then writes to it.
fn usable(store: &Path, ledger: &Ledger, rules: Rules) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        if store.exists() {
            verify::folder(store, ledger, rules).await?;
        }
        let mut builder = FileStorage::builder(store);
        if evidence::exists(store) {
            builder = evidence::enable(builder, |_| ())?;
        }
        let storage = builder.open().await?;
        let hash = hash_content("afterwards");
        let entry = AuditEntry::new(create_entry_id(), Timestamp::now(), hash.clone(), hash);
        storage.write(&entry).await?;
        if storage.read(&entry.id).await? != Some(entry.clone())
            || !storage.delete(&entry.id).await?
        {
            return failed("the store is not usable afterwards");
        }
        storage.close().await?;
        Ok(())
    })
}

/// Replaces `to` by a copy of the folder.
fn copy(from: &Path, to: &Path) -> Result {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    system::run("cp", [OsStr::new("-a"), from.as_ref(), to.as_ref()]).map(drop)
}

fn printed(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|line| !line.contains(' ')).map(str::to_owned).collect()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// The ids in all complete lines of a store.
fn ids_in(store: &Path) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for file in fs::read_dir(store).into_iter().flatten() {
        let path = file?.path();
        if path.extension() == Some(OsStr::new("jsonl")) {
            for line in fs::read(&path)?.split(|&byte| byte == b'\n') {
                if let Ok(entry) = attestry_core::line::decode(line) {
                    ids.push(entry.id.as_str().to_owned());
                }
            }
        }
    }
    Ok(ids)
}
