//! A process that records calls, and kills itself at a given point.

use std::ffi::OsString;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use attestry_core::{EntryId, hash_content, metadata};
use attestry_file::FileStorage;
use attestry_logger::{AuditError, AuditLogger, Call, Interaction};
use clap::Args;
use futures_util::FutureExt;
use rustix::process::{Signal, getpid, kill_process};

use super::journal::{AcknowledgedEnd, Journal};
use crate::evidence;
use crate::outcome::{Result, failed};
use crate::rng::Rng;

const CALLS: usize = 9;
const TASKS: usize = 3;
/// Several segments in a round.
const ROTATION_BYTES: u64 = 20_000;

/// Arguments of a process that records calls.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallWorkerArgs {
    /// The store
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// The file of notes
    #[arg(long)]
    pub(crate) journal: PathBuf,
    /// A number that is unique among all processes of this folder
    #[arg(long)]
    pub(crate) process: usize,
    #[arg(long)]
    pub(crate) seed: u64,
    /// The point at which the process kills itself, from 1; 0 for none
    #[arg(long)]
    pub(crate) die_at: usize,
    /// The store keeps evidence
    #[arg(long)]
    pub(crate) evidence: bool,
}

impl CallWorkerArgs {
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        for (name, value) in [
            ("--folder", self.folder.clone().into_os_string()),
            ("--journal", self.journal.clone().into_os_string()),
            ("--process", self.process.to_string().into()),
            ("--seed", self.seed.to_string().into()),
            ("--die-at", self.die_at.to_string().into()),
        ] {
            arguments.extend([name.into(), value]);
        }
        arguments.extend(self.evidence.then(|| "--evidence".into()));
        arguments
    }

    /// Opens the store for writing.
    pub(super) async fn open(&self) -> Result<FileStorage> {
        let mut builder = FileStorage::builder(&self.folder).rotation_size_bytes(ROTATION_BYTES);
        if self.evidence {
            builder = evidence::enable(builder, |_| ())?;
        }
        Ok(builder.open().await?)
    }
}

/// Entry point of the process.
pub(crate) fn main(args: CallWorkerArgs) -> Result {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    runtime.block_on(async {
        let journal = Journal::open(&args.journal)?;
        let logger = AuditLogger::builder(args.open().await?).store_content(true).build();
        let worker = Arc::new(Worker { args, journal, logger, points: AtomicUsize::new(0) });
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let worker = Arc::clone(&worker);
                tokio::spawn(async move {
                    for number in (task..CALLS).step_by(TASKS) {
                        worker.one(number).await?;
                    }
                    Result::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        worker.point();
        worker.logger.close().await?;
        worker.point();
        worker.journal.closed(worker.args.process)
    })
}

struct Worker {
    args: CallWorkerArgs,
    journal: Journal,
    logger: AuditLogger,
    /// Points passed so far.
    points: AtomicUsize,
}

impl Worker {
    /// A point at which the process may be killed.
    fn point(&self) {
        if self.points.fetch_add(1, Ordering::Relaxed) + 1 == self.args.die_at {
            // If it failed, the process would go on and the test would not end.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }

    /// Records one call that ends in one of all ways.
    async fn one(&self, number: usize) -> Result {
        let id = format!("p{}-{number}", self.args.process);
        let mut rng = Rng::derive(self.args.seed, number as u64);
        self.point();
        self.journal.starting(&id)?;
        self.point();
        let question = Interaction::new("What is 2+2?", "").id(EntryId::new(id.as_str())?);
        let mut call = self.logger.start(question).await?;
        self.point();
        self.journal.started(&id)?;
        let mut output = String::new();
        for _ in 0..rng.below(4) {
            call.push("vier ✓ ");
            output += "vier ✓ ";
            self.point();
            tokio::task::yield_now().await;
        }
        let hash = hash_content(&output);
        match rng.below(7) {
            0 | 1 => self.end(&id, call.finish(), metadata::OUTCOME_COMPLETED, hash).await,
            2 => self.end(&id, call.fail("timeout"), metadata::OUTCOME_FAILED, hash).await,
            3 => self.end(&id, call.cut_off(), metadata::OUTCOME_CUT_OFF, hash).await,
            4 => {
                drop(call);
                self.point();
                Ok(())
            }
            5 => {
                let mut finish = Box::pin(call.finish());
                let _ = finish.as_mut().now_or_never();
                self.point();
                drop(finish);
                self.point();
                Ok(())
            }
            _ => self.panic_with(call),
        }
    }

    async fn end(
        &self,
        id: &str,
        end: impl Future<Output = std::result::Result<EntryId, AuditError>>,
        outcome: &str,
        output_hash: String,
    ) -> Result {
        let end = end.await?.to_string();
        self.point();
        self.journal
            .ended(id, &AcknowledgedEnd { id: end, outcome: outcome.to_owned(), output_hash })
    }

    /// Drops the call by a panic, outside of the runtime.
    fn panic_with(&self, call: Call) -> Result {
        let thread = thread::spawn(move || {
            let _call = call;
            resume_unwind(Box::new("planned"));
        });
        let panicked = thread.join().is_err();
        self.point();
        if panicked { Ok(()) } else { failed("the thread did not panic") }
    }
}
