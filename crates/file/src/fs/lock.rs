//! The store's lock: whoever changes files holds it, for one batch, one deletion, or a part of what takes
//! long. Calls that follow one another at once may share a turn, unless another process waits for it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError as TryMutexError};
use std::thread;
use std::time::{Duration, Instant};

use attestry_core::StorageError;

use crate::fs::layout::Folder;
use crate::fs::sys;

/// A batch takes milliseconds, beginning the evidence of fifty gigabytes more than a minute. Whoever
/// holds the lock longer is stopped or stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whoever waits looks again after so long at the latest.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// A lock that was kept is kept on for so long before others are looked for once more, and given
/// back when it was not used for as long again. A sync takes about that.
const KEPT_FOR: Duration = Duration::from_micros(500);

/// An advisory lock between processes (`flock`), and between the threads of this one.
#[derive(Debug)]
pub(crate) struct StoreLock {
    folder: Folder,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// Locked, shared, by all who wait for `file`: whoever keeps that asks here whether it may. None
    /// where it could not be made: a full disk must not keep a store from being opened, and emptied.
    waiting: Option<File>,
    /// `file` is locked although there may be no guard. When it was last found that nobody waits.
    kept: Option<Instant>,
    turn: Turn,
}

/// As long as this is the same, no other process can have changed the folder in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Turn(pub(crate) u64);

/// Gives the lock back when dropped. So does the end of the process, however it ends.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    state: MutexGuard<'a, State>,
    keep: bool,
}

impl StoreLock {
    pub(crate) fn open(folder: &Folder) -> Result<Self, StorageError> {
        let (file, waiting) = (open(&folder.lock())?, open(&folder.waiting()).ok());
        let state = State { file, waiting, kept: None, turn: Turn::default() };
        Ok(Self { folder: folder.clone(), state: Mutex::new(state) })
    }

    /// Waits for the lock.
    pub(crate) fn acquire(&self) -> Result<Held<'_>, StorageError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(20);
        let mut announced = false;
        let taken = loop {
            match state.take() {
                Ok(()) => break Ok(()),
                Err(TryLockError::Error(source)) => {
                    break Err(StorageError::io("lock", self.folder.lock(), source));
                }
                Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    break Err(StorageError::Locked { path: self.folder.path().to_path_buf() });
                }
                Err(TryLockError::WouldBlock) => {
                    // Where that fails, somebody is just looking whether anyone waits.
                    announced = announced || state.announce();
                    thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        };
        if let Some(waiting) = state.waiting.as_ref().filter(|_| announced) {
            let _ = waiting.unlock();
        }
        taken.map(|()| Held { state, keep: false })
    }

    /// Lets those who wait for it have it first; the caller has let go of it for a moment only.
    pub(crate) fn give_way(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let awaited = !state.nobody_waits();
        drop(state);
        if awaited {
            thread::sleep(2 * LONGEST_PAUSE);
        }
    }

    /// The lock, if nobody has it.
    pub(crate) fn try_acquire(&self) -> Option<Held<'_>> {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryMutexError::Poisoned(state)) => state.into_inner(),
            Err(TryMutexError::WouldBlock) => return None,
        };
        state.take().is_ok().then_some(Held { state, keep: false })
    }

    /// Gives a lock back that was [kept](Held::keep) and is used no more; else when to ask again.
    pub(crate) fn give_back(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryMutexError::Poisoned(state)) => state.into_inner(),
            Err(TryMutexError::WouldBlock) => return Some(now + KEPT_FOR),
        };
        let until = state.kept? + 2 * KEPT_FOR;
        if now < until {
            return Some(until);
        }
        state.unlock();
        None
    }
}

impl State {
    fn take(&mut self) -> Result<(), TryLockError> {
        if self.kept.is_none() {
            self.file.try_lock()?;
            self.turn.0 += 1;
        }
        Ok(())
    }

    fn unlock(&mut self) {
        self.kept = None;
        // Failing to unlock leaves the lock until the file is closed, at the latest with the
        // process; there is nothing better to do here.
        let _ = self.file.unlock();
    }

    fn announce(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.try_lock_shared().is_ok())
    }

    /// Whoever begins to wait in this moment is seen the next time.
    fn nobody_waits(&self) -> bool {
        let Some(waiting) = &self.waiting else { return false };
        let nobody = waiting.try_lock().is_ok();
        if nobody {
            let _ = waiting.unlock();
        }
        nobody
    }
}

impl Held<'_> {
    /// Which turn this is: what was seen of the folder in the same one still holds.
    pub(crate) fn turn(&self) -> Turn {
        self.state.turn
    }

    /// Keeps the lock without a guard, for a call that follows at once: taking it and giving it back
    /// take as long as a write. Not where another process waits. Where that is new, somebody
    /// has to [give it back](StoreLock::give_back).
    pub(crate) fn keep(mut self, now: Instant) -> Kept {
        let before = self.state.kept;
        if before.is_none_or(|since| now.duration_since(since) >= KEPT_FOR) {
            if !self.state.nobody_waits() {
                return Kept::Not;
            }
            self.state.kept = Some(now);
            if before.is_some() {
                // Programs that know no lock are looked for now and then, too.
                self.state.turn.0 += 1;
            }
        }
        self.keep = true;
        if before.is_none() { Kept::Newly } else { Kept::Still }
    }
}

/// What became of a lock that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It was given back, for others to take.
    Not,
    Newly,
    Still,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.state.unlock();
        }
    }
}

/// Opened for reading: a store that is closed must not keep its file system from being mounted
/// read-only.
fn open(path: &Path) -> Result<File, StorageError> {
    let opened = sys::open_read_write(path).and_then(|_made| File::open(path));
    opened.map_err(|source| StorageError::io("open", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery;

    fn two_of_one_folder() -> (tempfile::TempDir, [StoreLock; 2]) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let locks = [StoreLock::open(&folder).unwrap(), StoreLock::open(&folder).unwrap()];
        (temporary, locks)
    }

    #[test]
    fn one_at_a_time_and_each_in_a_turn_of_its_own() {
        let (_folder, [one, other]) = two_of_one_folder();
        let held = one.acquire().unwrap();
        let turn = held.turn();
        assert!(other.try_acquire().is_none());
        drop(held);
        drop(other.try_acquire().unwrap());
        assert_ne!(one.acquire().unwrap().turn(), turn);
    }

    #[test]
    fn a_kept_lock_is_taken_again_in_the_same_turn() {
        let (_folder, [one, other]) = two_of_one_folder();
        let held = one.acquire().unwrap();
        let turn = held.turn();
        assert_eq!(held.keep(Instant::now()), Kept::Newly);
        assert!(other.try_acquire().is_none(), "kept");
        let held = one.try_acquire().unwrap();
        assert_eq!(held.turn(), turn);
        drop(held);
        assert!(other.try_acquire().is_some(), "given back like any other");
    }

    #[test]
    fn a_kept_lock_that_is_not_used_is_given_back() {
        let (_folder, [one, other]) = two_of_one_folder();
        assert_eq!(one.give_back(), None, "there is nothing to give back");
        assert_eq!(one.acquire().unwrap().keep(Instant::now()), Kept::Newly);
        while let Some(until) = one.give_back() {
            thread::sleep(until.saturating_duration_since(Instant::now()));
        }
        assert!(other.try_acquire().is_some());
    }

    #[test]
    fn where_nobody_can_say_that_they_wait_it_is_not_kept() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        std::fs::create_dir(folder.waiting()).unwrap();
        let lock = StoreLock::open(&folder).unwrap();
        assert_eq!(lock.acquire().unwrap().keep(Instant::now()), Kept::Not);
    }

    #[test]
    fn others_who_wait_get_it_before_it_is_kept_on() {
        let (_folder, [one, other]) = two_of_one_folder();
        let waits = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            assert_eq!(one.acquire().unwrap().keep(Instant::now()), Kept::Newly);
            let waiter = scope.spawn(|| {
                waits.wait();
                drop(other.acquire().unwrap());
            });
            waits.wait();
            // As calls do that follow each other for ever: nothing but the other's turn ends it.
            while !waiter.is_finished() {
                if let Some(held) = one.try_acquire() {
                    let _ = held.keep(Instant::now());
                }
            }
        });
    }
}
