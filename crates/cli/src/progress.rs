//! Progress bars on standard error, hidden if it is not a terminal.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::Duration;

use attestry::evidence::VerifyProgress;
use attestry::file::IndexingProgress;
use indicatif::{ProgressBar, ProgressStyle};

fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.enable_steady_tick(Duration::from_millis(200));
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Bytes of an input, of which the length may be unknown.
pub(crate) fn bytes(length: Option<u64>) -> ProgressBar {
    bar(
        length,
        match length {
            Some(_) => "{prefix}{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{spinner} {bytes}, {bytes_per_sec}, {elapsed}",
        },
    )
}

/// A number of entries.
pub(crate) fn entries() -> ProgressBar {
    bar(None, "{spinner} {human_pos} entries, {elapsed}")
}

/// Callback that shows the verified leaves.
pub(crate) fn verified_leaves() -> impl Fn(VerifyProgress) + Send + Sync + 'static {
    let template = "verifying {bar:30} {human_pos} of {human_len} leaves, {per_sec}, {eta} left";
    let bar = bar(Some(0), template);
    move |progress| {
        bar.set_length(progress.leaves_total);
        bar.set_position(progress.leaves);
        if progress.leaves == progress.leaves_total {
            bar.finish_and_clear();
        }
    }
}

/// Callback that shows the indexing of segments without an index file.
pub(crate) fn indexing() -> impl Fn(IndexingProgress) + Send + Sync + 'static {
    let bar = Mutex::new(None::<ProgressBar>);
    move |progress| {
        let Ok(mut shown) = bar.lock() else { return };
        let bar =
            shown.get_or_insert_with(|| bytes(Some(progress.bytes_total)).with_prefix("indexing "));
        bar.set_length(progress.bytes_total);
        // Several threads report progress, so a lower value may arrive after a higher one.
        bar.set_position(progress.bytes_read.max(bar.position()));
        if progress.bytes_read == progress.bytes_total {
            bar.finish_and_clear();
            *shown = None;
        }
    }
}
