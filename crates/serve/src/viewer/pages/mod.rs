//! The pages.

pub(super) mod access;
pub(super) mod conversation;
pub(super) mod entries;
pub(super) mod entry;
pub(super) mod integrity;
mod moment;
pub(super) mod overview;
