//! Reads an input on one thread, processes its chunks in parallel, and yields the outputs in order.

use std::io::{self, Read};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::chunks::{Chunk, Chunks};
use crate::errors::Failure;
use crate::input::{Input, cannot_read};

/// Memory for chunks in flight, in KiB. A chunk that is larger is processed alone.
const MEMORY_BUDGET_KIB: u32 = 16 << 10;

/// The output for one chunk.
pub(crate) struct Processed<T> {
    pub(crate) output: T,
    /// Number of the last line of the chunk.
    pub(crate) last_line: u64,
    /// Offset of the end of the chunk in the input, in bytes.
    pub(crate) end: u64,
    /// Its part of the memory budget, released on drop.
    _memory: OwnedSemaphorePermit,
}

type Job<T> = io::Result<JoinHandle<Processed<T>>>;

/// The outputs in the order of the input. Dropping it stops the reader.
pub(crate) struct Outputs<T> {
    jobs: mpsc::UnboundedReceiver<Job<T>>,
    /// Received from `jobs` and not yet returned.
    next: Option<Job<T>>,
    input_name: String,
    memory: Arc<Semaphore>,
}

/// Starts to read `input` and to call `work` on its chunks, on as many threads as there are cores.
pub(crate) fn process<T: Send + 'static>(
    input: Input,
    work: impl Fn(&Chunk) -> T + Send + Sync + 'static,
) -> Result<Outputs<T>, Failure> {
    let (sender, jobs) = mpsc::unbounded_channel();
    let memory = Arc::new(Semaphore::new(MEMORY_BUDGET_KIB as usize));
    let outputs = Outputs { jobs, next: None, input_name: input.name, memory: memory.clone() };
    let reader = Reader { memory, runtime: Handle::current(), work: Arc::new(work), sender };
    // Not a thread of the runtime, whose shutdown would wait for a read from a pipe. This thread ends with
    // the process.
    let run = move || reader.run(Chunks::new(input.reader));
    match std::thread::Builder::new().name("input".into()).spawn(run) {
        Ok(_detached) => Ok(outputs),
        Err(error) => Err(Failure::new("cannot start a thread").caused_by(error)),
    }
}

struct Reader<T, W> {
    memory: Arc<Semaphore>,
    runtime: Handle,
    work: Arc<W>,
    sender: mpsc::UnboundedSender<Job<T>>,
}

impl<T: Send + 'static, W: Fn(&Chunk) -> T + Send + Sync + 'static> Reader<T, W> {
    fn run(self, mut chunks: Chunks<Box<dyn Read + Send>>) {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let workers = Arc::new(Semaphore::new(cores));
        loop {
            let job = match chunks.next() {
                Ok(Some(chunk)) => match self.spawn(chunk, &workers) {
                    Some(job) => Ok(job),
                    None => return, // `Outputs` was dropped
                },
                Ok(None) => return,
                Err(error) => Err(error),
            };
            let failed = job.is_err();
            if self.sender.send(job).is_err() || failed {
                return;
            }
        }
    }

    /// Processes `chunk` on another thread, once memory and a core are available.
    fn spawn(&self, chunk: Chunk, workers: &Arc<Semaphore>) -> Option<JoinHandle<Processed<T>>> {
        let size = u32::try_from(chunk.size() >> 10).unwrap_or(u32::MAX);
        let size = size.clamp(1, MEMORY_BUDGET_KIB);
        let (memory, worker) = self.runtime.block_on(async {
            let memory = Arc::clone(&self.memory).acquire_many_owned(size).await.ok()?;
            Some((memory, Arc::clone(workers).acquire_owned().await.ok()?))
        })?;
        let work = Arc::clone(&self.work);
        Some(self.runtime.spawn_blocking(move || {
            let output = work(&chunk);
            drop(worker);
            Processed { output, last_line: chunk.last_line, end: chunk.end, _memory: memory }
        }))
    }
}

impl<T> Outputs<T> {
    /// The next output, or `None` at the end of the input. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Processed<T>, Failure>> {
        if self.next.is_none() {
            self.next = Some(self.jobs.recv().await?);
        }
        let result = match &mut self.next {
            Some(Ok(job)) => Some(job.await),
            _ => None,
        };
        Some(match (result, self.next.take()?) {
            (Some(result), _) => {
                result.map_err(|panic| Failure::new("a worker thread panicked").caused_by(panic))
            }
            (None, Err(error)) => Err(cannot_read(&self.input_name, error)),
            (None, Ok(_)) => return None,
        })
    }

    /// The next output, if it is available without waiting.
    pub(crate) async fn ready(&mut self) -> Option<Result<Processed<T>, Failure>> {
        if self.next.is_none() {
            self.next = self.jobs.try_recv().ok();
        }
        match &self.next {
            Some(Ok(job)) if !job.is_finished() => None,
            Some(_) => self.next().await,
            None => None,
        }
    }
}

impl<T> Drop for Outputs<T> {
    fn drop(&mut self) {
        self.memory.close();
    }
}
