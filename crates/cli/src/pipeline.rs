//! Reads an input on one thread, works on its chunks on several, and gives the results in order.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::chunks::{Chunk, Chunks};
use crate::errors::Failure;

/// How much of the input may be under way at a time, in KiB. A single line may be longer than
/// that; then it is alone.
const BUDGET_KIB: u32 = 16 << 10;

/// An input to read lines from.
pub(crate) struct Input {
    reader: Box<dyn Read + Send>,
    /// What messages call it.
    pub(crate) name: String,
    /// Its length in bytes, where that is known.
    pub(crate) length: Option<u64>,
}

impl Input {
    /// Opens the file at `path`, or the standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            let name = "standard input".to_owned();
            return Ok(Self { reader: Box::new(io::stdin()), name, length: None });
        }
        let name = path.display().to_string();
        let failed = |error: io::Error| {
            Failure::new(format!("cannot read {}", path.display())).caused_by(error)
        };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self { reader: Box::new(file), name, length })
    }
}

/// What the work on one chunk gave.
pub(crate) struct Done<T> {
    pub(crate) result: T,
    /// The number of the last line it is about.
    pub(crate) last_line: u64,
    /// How many bytes of the input end there.
    pub(crate) end: u64,
    /// Its share of the budget, given back when this is dropped.
    _share: OwnedSemaphorePermit,
}

/// The results, in the order of the input.
pub(crate) struct Results<T> {
    under_way: mpsc::UnboundedReceiver<io::Result<JoinHandle<Done<T>>>>,
    /// Received and not yet handed out.
    next: Option<io::Result<JoinHandle<Done<T>>>>,
    name: String,
    budget: Arc<Semaphore>,
}

/// Begins to read `input` and to do `work` on its chunks, as many at a time as there are cores.
pub(crate) fn start<T: Send + 'static>(
    input: Input,
    work: impl Fn(&Chunk) -> T + Send + Sync + 'static,
) -> Results<T> {
    let (sender, under_way) = mpsc::unbounded_channel();
    let budget = Arc::new(Semaphore::new(BUDGET_KIB as usize));
    let results = Results { under_way, next: None, name: input.name, budget: Arc::clone(&budget) };
    let reading = Reading { budget, runtime: Handle::current(), work: Arc::new(work), sender };
    // A thread of its own and none of the runtime's: it may wait for a pipe when all else is done,
    // and ends with the process.
    std::thread::spawn(move || reading.run(Chunks::new(input.reader)));
    results
}

struct Reading<T, W> {
    budget: Arc<Semaphore>,
    runtime: Handle,
    work: Arc<W>,
    sender: mpsc::UnboundedSender<io::Result<JoinHandle<Done<T>>>>,
}

impl<T: Send + 'static, W: Fn(&Chunk) -> T + Send + Sync + 'static> Reading<T, W> {
    fn run(self, mut chunks: Chunks<Box<dyn Read + Send>>) {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let workers = Arc::new(Semaphore::new(cores));
        loop {
            let message = match chunks.next() {
                Ok(Some(chunk)) => match self.begin(chunk, &workers) {
                    Some(job) => Ok(job),
                    None => return, // nobody wants the results any more
                },
                Ok(None) => return,
                Err(error) => Err(error),
            };
            let failed = message.is_err();
            if self.sender.send(message).is_err() || failed {
                return;
            }
        }
    }

    /// Begins to work on `chunk` once there is room for it and a core.
    fn begin(&self, chunk: Chunk, workers: &Arc<Semaphore>) -> Option<JoinHandle<Done<T>>> {
        let size = u32::try_from(chunk.size() >> 10).unwrap_or(u32::MAX).clamp(1, BUDGET_KIB);
        let (share, worker) = self.runtime.block_on(async {
            let share = Arc::clone(&self.budget).acquire_many_owned(size).await.ok()?;
            Some((share, Arc::clone(workers).acquire_owned().await.ok()?))
        })?;
        let work = Arc::clone(&self.work);
        Some(self.runtime.spawn_blocking(move || {
            let result = work(&chunk);
            drop(worker);
            Done { result, last_line: chunk.last_line, end: chunk.end, _share: share }
        }))
    }
}

impl<T> Results<T> {
    /// The next result, or `None` at the end of the input. Loses nothing when it is dropped while
    /// it waits.
    pub(crate) async fn next(&mut self) -> Option<Result<Done<T>, Failure>> {
        if self.next.is_none() {
            self.next = Some(self.under_way.recv().await?);
        }
        let done = match &mut self.next {
            Some(Ok(job)) => Ok(job.await),
            _ => Err(()),
        };
        Some(match (done, self.next.take()) {
            (Ok(Ok(done)), _) => Ok(done),
            (Ok(Err(panic)), _) => Err(Failure::new("a worker ended early").caused_by(panic)),
            (_, Some(Err(error))) => {
                Err(Failure::new(format!("cannot read {}", self.name)).caused_by(error))
            }
            _ => return None,
        })
    }

    /// The next result, if it is there already.
    pub(crate) async fn ready(&mut self) -> Option<Result<Done<T>, Failure>> {
        if self.next.is_none() {
            self.next = self.under_way.try_recv().ok();
        }
        match &self.next {
            Some(Ok(job)) if !job.is_finished() => None,
            Some(_) => self.next().await,
            None => None,
        }
    }
}

/// Nothing more is read.
impl<T> Drop for Results<T> {
    fn drop(&mut self) {
        self.budget.close();
    }
}
