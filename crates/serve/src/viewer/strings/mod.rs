//! All texts of the pages, by page. Texts of records are not here.

pub(super) mod access;
pub(super) mod content;
pub(super) mod conversation;
pub(super) mod entries;
pub(super) mod entry;
pub(super) mod frame;
pub(super) mod integrity;
pub(super) mod log_in;
pub(super) mod overview;
