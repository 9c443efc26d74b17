//! `attestry`: records interactions with AI systems in an audit store, lists, verifies and erases them.
//!
//! Exit status: 0 success, 1 an entry was not found or problems were found, 2 wrong usage or failure,
//! 130 (Ctrl-C) or 143 (SIGTERM) an import was interrupted after its current batch was stored.

mod anchors;
mod args;
mod chunks;
mod commands;
#[cfg(feature = "serve")]
mod config;
mod csv_file;
mod dumps;
mod errors;
mod format;
mod ids;
mod input;
mod interrupt;
mod lines;
#[cfg(feature = "serve")]
mod logs;
mod output;
mod paths;
mod pipeline;
mod policy;
mod progress;
mod record;
mod store;
mod suggestions;
mod table;
mod text;
mod threads;
mod times;

use std::process::ExitCode;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::args::Cli;
use crate::errors::{Failure, Status};
use crate::output::Stdout;

/// Most of what the server allocates is freed by another thread, between buffers of hundreds of kilobytes: the allocator of
/// glibc takes a quarter of the time of a span for that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(error) => {
            // Also `--help` and `--version`, with status 0. A closed pipe is not an error.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    raise_open_file_limit();
    let result = threads::runtime().and_then(|runtime| runtime.block_on(run(cli)));
    match result {
        Ok(status) => status.into(),
        Err(failure) => failure.report(),
    }
}

async fn run(cli: Cli) -> Result<Status, Failure> {
    let mut out = Stdout::open();
    let status = commands::run(cli, &mut out).await?;
    out.flush()?;
    Ok(status)
}

/// Raises the soft limit of open files to the hard limit.
///
/// A store keeps two files open per segment, one segment per day. The usual soft limit of 1,024 only
/// protects programs that use `select(2)`.
fn raise_open_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If this fails, a later error names the file that could not be opened.
    let _ = setrlimit(Resource::Nofile, limit);
}
