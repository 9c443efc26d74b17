//! The store lock: held while files are changed, for one batch, one deletion, or one step of a
//! maintenance job.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError as TryMutexError};
use std::thread;
use std::time::{Duration, Instant};

use attestry_core::StorageError;

use crate::fs::layout::Folder;
use crate::fs::open;

/// A batch takes milliseconds; building the tree of fifty gigabytes takes more than a minute. A process
/// that holds the lock for longer is stopped or stuck.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(120);

const MIN_POLL_INTERVAL: Duration = Duration::from_micros(20);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// An advisory lock between processes (`flock`), and between the threads of this one. Waiters poll
/// it, since `flock` knows no timeout.
#[derive(Debug)]
pub(crate) struct StoreLock {
    folder: Folder,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    epoch: LockEpoch,
}

/// A number that changes with each acquisition of the lock. While it is the same, no other process
/// can have changed the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LockEpoch(pub(crate) u64);

/// Holds the lock; releases it when dropped. The kernel releases it when the process ends.
#[derive(Debug)]
pub(crate) struct LockGuard<'a> {
    state: MutexGuard<'a, State>,
}

impl StoreLock {
    pub(crate) fn open(folder: &Folder) -> Result<Self, StorageError> {
        let state = State { file: open(&folder.lock())?, epoch: LockEpoch::default() };
        Ok(Self { folder: folder.clone(), state: Mutex::new(state) })
    }

    /// Waits for the lock.
    pub(crate) fn acquire(&self) -> Result<LockGuard<'_>, StorageError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        let mut interval = MIN_POLL_INTERVAL;
        loop {
            match state.file.try_lock() {
                Ok(()) => return Ok(LockGuard::new(state)),
                Err(TryLockError::Error(source)) => {
                    return Err(StorageError::io("lock", self.folder.lock(), source));
                }
                Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    return Err(StorageError::locked(self.folder.path()));
                }
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(interval);
                    interval = (interval * 2).min(MAX_POLL_INTERVAL);
                }
            }
        }
    }

    /// Pauses for long enough that every waiter polls the lock once, which the caller has released and
    /// is about to acquire again.
    pub(crate) fn yield_to_waiters() {
        thread::sleep(2 * MAX_POLL_INTERVAL);
    }

    /// The lock, if it is free.
    pub(crate) fn try_acquire(&self) -> Option<LockGuard<'_>> {
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryMutexError::Poisoned(state)) => state.into_inner(),
            Err(TryMutexError::WouldBlock) => return None,
        };
        state.file.try_lock().is_ok().then(|| LockGuard::new(state))
    }
}

/// Excludes writers while it lives.
#[derive(Debug)]
pub(crate) struct ExcludedWriters {
    _lock: Option<File>,
}

/// Excludes writers, for a reader; `None` if one is at work. A store that was never opened for writing has
/// none.
pub(crate) fn try_exclude_writers(
    folder: &Folder,
) -> Result<Option<ExcludedWriters>, StorageError> {
    let path = folder.lock();
    match open::read(&path) {
        Ok(lock) if lock.try_lock_shared().is_err() => Ok(None),
        Ok(lock) => Ok(Some(ExcludedWriters { _lock: Some(lock) })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Some(ExcludedWriters { _lock: None }))
        }
        Err(source) => Err(StorageError::io("open", path, source)),
    }
}

impl<'a> LockGuard<'a> {
    fn new(mut state: MutexGuard<'a, State>) -> Self {
        state.epoch.0 += 1;
        Self { state }
    }

    /// The epoch of this acquisition.
    pub(crate) fn epoch(&self) -> LockEpoch {
        self.state.epoch
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        // If this fails, the lock is released when the file is closed, at the latest with the process.
        let _ = self.state.file.unlock();
    }
}

/// Opened for reading: a file that is open for writing would keep a file system from being remounted
/// read-only.
fn open(path: &Path) -> Result<File, StorageError> {
    let opened = open::read_write_or_create(path).and_then(|_created| open::read(path));
    opened.map_err(|source| StorageError::io("open", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery;

    fn two_locks_on_one_folder() -> (tempfile::TempDir, [StoreLock; 2]) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let locks = [StoreLock::open(&folder).unwrap(), StoreLock::open(&folder).unwrap()];
        (temporary, locks)
    }

    #[test]
    fn lock_is_exclusive_and_each_acquisition_is_an_epoch() {
        let (_folder, [one, other]) = two_locks_on_one_folder();
        let guard = one.acquire().unwrap();
        let epoch = guard.epoch();
        assert!(other.try_acquire().is_none());
        drop(guard);
        drop(other.try_acquire().unwrap());
        assert_ne!(one.acquire().unwrap().epoch(), epoch);
    }

    #[test]
    fn waiter_acquires_a_lock_that_is_yielded() {
        let (_folder, [one, other]) = two_locks_on_one_folder();
        let start = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            let guard = one.acquire().unwrap();
            let waiter = scope.spawn(|| {
                start.wait();
                drop(other.acquire().unwrap());
            });
            start.wait();
            thread::sleep(Duration::from_millis(5));
            drop(guard);
            // A job of many steps: the lock is free for nothing but these pauses.
            while !waiter.is_finished() {
                StoreLock::yield_to_waiters();
                drop(one.try_acquire());
            }
        });
    }
}
