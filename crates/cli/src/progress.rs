//! Bars on the standard error, where that is a terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use attestry::{IndexingProgress, VerifyProgress};
use indicatif::{ProgressBar, ProgressStyle};

/// A bar over so many bytes, or a spinner where nobody knows how many; hidden where nobody looks.
pub(crate) fn over_bytes(length: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{prefix}{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {bytes_per_sec}, {elapsed}"),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    // The templates are right; the fallback keeps a bar at all.
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

/// Counts what is done, where somebody looks.
pub(crate) fn counter() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    let template = ProgressStyle::with_template("{spinner} {human_pos} entries, {elapsed}");
    bar.with_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Shows how far a verification is; gone when it is done.
pub(crate) fn of_leaves() -> impl Fn(VerifyProgress) + Send + Sync + 'static {
    let bar =
        if io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
    let template = "verifying {bar:30} {human_pos} of {human_len} leaves, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template);
    let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    move |progress| {
        bar.set_length(progress.leaves_total);
        bar.set_position(progress.leaves);
        if progress.leaves == progress.leaves_total {
            bar.finish_and_clear();
        }
    }
}

/// Shows how far the reading of segments without an index is; gone when it is done.
pub(crate) fn of_indexing() -> impl Fn(IndexingProgress) + Send + Sync + 'static {
    let bar = std::sync::Mutex::new(None::<ProgressBar>);
    move |progress| {
        let Ok(mut shown) = bar.lock() else { return };
        let begun = || over_bytes(Some(progress.bytes_total)).with_prefix("indexing ");
        let bar = shown.get_or_insert_with(begun);
        bar.set_length(progress.bytes_total);
        // Told by several threads, the lesser may come last.
        bar.set_position(progress.bytes_read.max(bar.position()));
        if progress.bytes_read == progress.bytes_total {
            bar.finish_and_clear();
            *shown = None;
        }
    }
}
