//! The store's lock: whoever changes files holds it, for one batch and not for longer.

use std::fs::{File, TryLockError};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError as TryMutexError};
use std::thread;
use std::time::{Duration, Instant};

use attestry_core::StorageError;

use crate::folder::Folder;
use crate::sys;

/// A batch takes milliseconds, rebuilding a large store's indexes minutes at the most. Whoever
/// holds the lock longer is stopped or stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// An advisory lock between processes (`flock`), and between the threads of this one.
#[derive(Debug)]
pub(crate) struct StoreLock {
    folder: Folder,
    file: Mutex<File>,
}

/// Gives the lock back when dropped. So does the end of the process, however it ends.
#[derive(Debug)]
pub(crate) struct Held<'a>(MutexGuard<'a, File>);

impl StoreLock {
    pub(crate) fn open(folder: &Folder) -> Result<Self, StorageError> {
        let path = folder.lock();
        let opened = sys::open_read_write(&path).and_then(|_made| File::open(&path));
        // Open for reading: a store that is closed must not keep its file system from being
        // mounted read-only.
        let file = opened.map_err(|source| StorageError::io("open", &path, source))?;
        Ok(Self { folder: folder.clone(), file: Mutex::new(file) })
    }

    /// Waits for the lock.
    pub(crate) fn acquire(&self) -> Result<Held<'_>, StorageError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(20);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Held(file)),
                Err(TryLockError::Error(source)) => {
                    return Err(StorageError::io("lock", self.folder.lock(), source));
                }
                Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    let path = self.folder.path().to_path_buf();
                    return Err(StorageError::Locked { path });
                }
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(1));
                }
            }
        }
    }

    /// The lock, if nobody has it.
    pub(crate) fn try_acquire(&self) -> Option<Held<'_>> {
        let file = match self.file.try_lock() {
            Ok(file) => file,
            Err(TryMutexError::Poisoned(file)) => file.into_inner(),
            Err(TryMutexError::WouldBlock) => return None,
        };
        file.try_lock().is_ok().then_some(Held(file))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Failing to unlock leaves the lock until the file is closed, at the latest with the
        // process; there is nothing better to do here.
        let _ = self.0.unlock();
    }
}
