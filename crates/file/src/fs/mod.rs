//! The file system below the store: system calls, opening files, paths, the lock, the clock, and the epochs that
//! invalidate caches of other processes.

pub(crate) mod clock;
pub(crate) mod create;
pub(crate) mod epoch;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod open;
pub(crate) mod segment_name;
pub(crate) mod sys;
pub(crate) mod version;
