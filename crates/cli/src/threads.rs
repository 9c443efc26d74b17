//! Starts the async runtime, within the limits that this account or container has on threads and memory.
//!
//! Tokio panics if it cannot start its first thread, and lets tasks wait forever for threads that could not
//! be started later. So it is found out first how many can be.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::errors::Failure;

/// Threads besides those of the runtime's workers, one for each core: the writer thread, that of an input,
/// an index that is written, a scan, and calls that block.
const SPARE_THREADS: usize = 6;
/// With these many a command works, one call after the other: two that may block, the writer thread and that
/// of an input.
const MIN_THREADS: usize = 4;
/// A command works with an address space of this size; see `docs/operations.md`.
const MIN_ADDRESS_SPACE_BYTES: u64 = 256 << 20;

/// How long a second thread may take to start. If it cannot, the program ends after this time.
const SECOND_THREAD_TIMEOUT: Duration = Duration::from_secs(20);

/// Settings of the allocators, read when the program starts. The program's own has one arena, and keeps no address space
/// that is not in use. That of glibc, which starts threads, has one arena instead of 128 MiB for each thread.
const LITTLE_SPACE: [(&str, &str); 2] =
    [("_RJEM_MALLOC_CONF", "narenas:1,retain:false"), ("MALLOC_ARENA_MAX", "1")];

const HINT: &str = "raise the limit on processes and threads (`ulimit -u`, `pids` of the container), \
                    or on memory (`ulimit -v`)";

/// The runtime: with a worker for each core, or without workers if this process may start few threads.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let address_space = getrlimit(Resource::As).current.unwrap_or(u64::MAX);
    if address_space < u64::MAX {
        reserve_less();
    }
    if address_space < MIN_ADDRESS_SPACE_BYTES {
        return Err(Failure::new(format!(
            "the address space is limited to {} MiB; {} MiB are needed",
            address_space >> 20,
            MIN_ADDRESS_SPACE_BYTES >> 20
        ))
        .hint("raise the limit with `ulimit -v`"));
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let failed = |error| Failure::new("cannot start the async runtime").caused_by(error);
    let (started, error) = startable(cores + SPARE_THREADS);
    let mut builder = match error {
        None => Builder::new_multi_thread(),
        Some(error) if started < MIN_THREADS => {
            let message = format!("cannot start {MIN_THREADS} threads, only {started}");
            return Err(Failure::new(message).caused_by(error).hint(HINT));
        }
        Some(_) => Builder::new_current_thread(),
    };
    // Threads for calls that block are kept: the next ones may be refused, even if these were not.
    let runtime = builder.enable_all().thread_keep_alive(Duration::MAX).build().map_err(failed)?;
    start_blocking_threads(&runtime)?;
    Ok(runtime)
}

/// Executes this program again with allocators that reserve little address space: under a limit, allocations fail although
/// little memory is in use. Returns if that is done or not possible.
fn reserve_less() {
    let unset: Vec<_> =
        LITTLE_SPACE.into_iter().filter(|(name, _)| env::var_os(name).is_none()).collect();
    if !unset.is_empty() {
        let program = env::current_exe().map(Command::new);
        let _ = program.map(|mut program| program.args(env::args_os().skip(1)).envs(unset).exec());
    }
}

/// How many of `wanted` threads can run at once, and the error if that is fewer.
fn startable(wanted: usize) -> (usize, Option<io::Error>) {
    let (ended, end) = (Mutex::new(false), Condvar::new());
    let wait = || {
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        drop(end.wait_while(ended, |ended| !*ended));
    };
    let result = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, wait);
        let mut started = 0;
        let error = (0..wanted).map(start).find_map(|thread| {
            started += usize::from(thread.is_ok());
            thread.err()
        });
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        end.notify_all();
        (started, error)
    });
    wait_until_alone();
    result
}

/// The kernel counts a thread for a moment after it was joined.
fn wait_until_alone() {
    for _ in 0..100 {
        match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
            Ok(2..) => thread::sleep(Duration::from_micros(200)),
            _ => return,
        }
    }
}

/// Starts two threads for calls that block: a scan holds one while another call needs one.
fn start_blocking_threads(runtime: &Runtime) -> Result<(), Failure> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let first = runtime.spawn_blocking(move || {
        // Ends early once the second thread runs, which takes seconds on a machine that is overloaded.
        let _ = receiver.recv_timeout(SECOND_THREAD_TIMEOUT);
        thread::current().id()
    });
    let second = runtime.spawn_blocking(move || {
        let _ = sender.send(());
        thread::current().id()
    });
    let (first, second) = runtime.block_on(async { (first.await, second.await) });
    match (first, second) {
        (Ok(first), Ok(second)) if first != second => Ok(()),
        _ => Err(Failure::new("cannot start two threads").hint(HINT)),
    }
}
