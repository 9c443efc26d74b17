//! A worker process, which may be killed at any moment: this program, started with a role.

mod again;
mod calls;
mod reader;
mod script;
mod writer;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use attestry_core::StorageError;
use attestry_file::{Durability, FileStorage};
use clap::{Args, ValueEnum};

use crate::evidence;
use crate::notes::{Note, Notes};
use crate::outcome::{Result, Stop, chain};

/// What a worker does until it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Writes single entries and batches from several tasks. Begins with the writes that were pending in killed
    /// workers, and repeats earlier writes now and then.
    Writer,
    /// Deletes entries and expires old ones.
    Cleaner,
    /// Writes and deletes.
    Both,
    /// Only repeats writes that were pending in killed workers and did reach the store: nothing is added, but the
    /// acknowledgement must be durable. Keeps looking for more.
    Retrier,
    /// Reads the whole store repeatedly and compares it with the notes.
    Reader,
    /// Runs a fixed sequence of calls once; its notes also go to standard output.
    Script,
}

/// Arguments of a worker.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerArgs {
    #[arg(long)]
    pub(crate) role: Role,
    /// The store
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// The file of notes
    #[arg(long)]
    pub(crate) notes: PathBuf,
    /// A number that is unique among all workers of this folder
    #[arg(long)]
    pub(crate) number: usize,
    #[arg(long)]
    pub(crate) seed: u64,
    #[arg(long, default_value_t = 20_000)]
    pub(crate) rotation_bytes: u64,
    /// An error ends the worker without a problem: the disk will be shut down
    #[arg(long)]
    pub(crate) may_fail: bool,
    /// Entries are not synced and never acknowledged, as if the worker were killed before each sync
    #[arg(long)]
    pub(crate) buffered: bool,
    /// The store keeps evidence
    #[arg(long)]
    pub(crate) evidence: bool,
    /// A witness (URL+KEY) and the URL of a timestamp authority
    #[arg(long = "anchor")]
    pub(crate) anchors: Vec<String>,
}

impl WorkerArgs {
    pub(crate) fn new(role: Role, folder: &Path, notes: &Path, number: usize, seed: u64) -> Self {
        let (folder, notes) = (folder.to_path_buf(), notes.to_path_buf());
        Self {
            role,
            folder,
            notes,
            number,
            seed,
            rotation_bytes: 20_000,
            may_fail: false,
            buffered: false,
            evidence: false,
            anchors: Vec::new(),
        }
    }

    /// The command that starts it.
    pub(crate) fn command(&self) -> Result<Command> {
        let role = self.role.to_possible_value();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["worker", "--role", role.as_ref().map_or("", |role| role.get_name())])
            .args(["--number", &self.number.to_string(), "--seed", &self.seed.to_string()])
            .args(["--rotation-bytes", &self.rotation_bytes.to_string(), "--folder"])
            .arg(&self.folder)
            .arg("--notes")
            .arg(&self.notes)
            .args(self.may_fail.then_some("--may-fail"))
            .args(self.buffered.then_some("--buffered"))
            .args(self.evidence.then_some("--evidence"))
            .args(self.anchors.iter().flat_map(|anchor| ["--anchor", anchor]));
        Ok(command)
    }

    /// Starts it.
    pub(crate) fn spawn(&self) -> Result<Running> {
        let mut command = self.command()?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        Ok(Running { child, role: self.role, number: self.number })
    }
}

/// A running worker; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) role: Role,
    number: usize,
}

impl Running {
    /// Sends SIGKILL, waits for the end, and notes the death.
    pub(crate) fn kill(mut self, notes: &Notes) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        notes.put(&Note::Died(self.number))?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Entry point of a worker process.
pub(crate) fn main(args: WorkerArgs) -> Result {
    let notes = Notes::append_to(&args.notes)?;
    let notes = if args.role == Role::Script { notes.echoed() } else { notes };
    let worker = Arc::new(Worker { args, notes: Arc::new(notes), calls: AtomicUsize::new(0) });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async {
        match worker.args.role {
            Role::Writer | Role::Cleaner | Role::Both | Role::Retrier => writer::run(&worker).await,
            Role::Reader => reader::run(&worker).await,
            Role::Script => script::run(&worker).await,
        }
    });
    match outcome {
        Err(Stop::Failed(reason)) if !worker.args.may_fail => {
            worker.notes.put(&Note::Problem(format!("{:?}: {reason}", worker.args.role)))?;
            Err(Stop::Failed(reason))
        }
        _ => Ok(()),
    }
}

#[derive(Debug)]
struct Worker {
    args: WorkerArgs,
    notes: Arc<Notes>,
    /// Number of calls so far.
    calls: AtomicUsize,
}

impl Worker {
    /// Opens the store for writing; retries while another process holds the lock.
    async fn open(&self) -> Result<FileStorage> {
        loop {
            let mut builder = FileStorage::builder(&self.args.folder)
                .rotation_size_bytes(self.args.rotation_bytes);
            if self.args.buffered {
                builder = builder.durability(Durability::Buffered);
            }
            if self.args.evidence {
                let notes = Arc::clone(&self.notes);
                builder = evidence::enable(builder, move |note| {
                    // If notes cannot be written, the worker is about to be killed.
                    let _ = notes.put(&Note::Signed(note.to_owned()));
                })?;
            }
            match builder.open().await {
                Err(StorageError::Locked { .. }) => pause(5).await,
                outcome => return Ok(outcome?),
            }
        }
    }
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Retries while the store is locked by another process.
async fn retry_locked<T, F: Future<Output = std::result::Result<T, StorageError>>>(
    call: impl Fn() -> F,
) -> Result<T> {
    loop {
        match call().await {
            Err(StorageError::Locked { .. }) => pause(2).await,
            Err(error) => return Err(Stop::Failed(chain(&error))),
            Ok(value) => return Ok(value),
        }
    }
}
