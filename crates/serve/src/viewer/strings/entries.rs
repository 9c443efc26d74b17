//! Texts of the list of entries.

pub(in crate::viewer) const TITLE: &str = "Entries";
pub(in crate::viewer) const TIME: &str = "Time";
pub(in crate::viewer) const MODEL: &str = "Model";
