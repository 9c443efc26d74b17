//! Texts that all pages have.

use http::StatusCode;

pub(in crate::viewer) const LANGUAGE: &str = "en";
pub(in crate::viewer) const PRODUCT: &str = "Attestry";
pub(in crate::viewer) const SKIP: &str = "Skip to content";
pub(in crate::viewer) const NAVIGATION: &str = "Pages";
pub(in crate::viewer) const OVERVIEW: &str = "Overview";
pub(in crate::viewer) const INTEGRITY: &str = "Integrity";
pub(in crate::viewer) const ACCESS: &str = "Access log";
pub(in crate::viewer) const ENTRIES: &str = "Entries";
pub(in crate::viewer) const ZONE_UTC: &str = "Times: UTC";
pub(in crate::viewer) const ZONE_LOCAL: &str = "Times: local";
pub(in crate::viewer) const LOG_OUT: &str = "Log out";
pub(in crate::viewer) const FOOTER: &str = "Times are UTC unless the page says otherwise. Each page that shows records is in the access log.";
pub(in crate::viewer) const PRINTED_FROM: &str = "Printed from";
pub(in crate::viewer) const RETRY: &str = "The same request may succeed in a few seconds.";
pub(in crate::viewer) const BACK: &str = "To the first page";
pub(in crate::viewer) const OLD_FORM: &str = "the form is not from a current page of this browser; go back, reload the page, and send it again";

pub(in crate::viewer) fn problem_title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 422 => "This cannot be shown",
        401 => "Not logged in",
        403 => "Not allowed",
        404 => "Not found",
        413 => "Too large",
        503 => "Not available now",
        _ => "Something failed",
    }
}
