//! Reading: finding entries by id and by time, without a lock.

pub(crate) mod catalog;
pub(crate) mod scan;
