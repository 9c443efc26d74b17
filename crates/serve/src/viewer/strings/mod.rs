//! All texts of the pages, by page. Texts of records are not here.

pub(super) mod entries;
pub(super) mod frame;
pub(super) mod log_in;
