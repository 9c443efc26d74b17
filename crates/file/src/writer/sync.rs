//! The locks and threads of the committer. In a build with `--cfg shuttle` they are those of a
//! scheduler that a test can drive through one order of events after another.

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
