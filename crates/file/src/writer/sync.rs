//! Locks and threads of the writer. With `--cfg shuttle` they are those of a scheduler that a test
//! drives through many orders of events.

#[cfg(all(test, shuttle))]
pub(super) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(not(all(test, shuttle)))]
pub(super) use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
