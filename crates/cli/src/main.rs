//! `attestry`: records interactions with AI systems in an audit store, finds them again, checks
//! and expires them.
//!
//! Exit status: 0 done, 1 what was asked for is not there or problems were found, 2 wrong usage
//! or failure, 130 ended by Ctrl-C (143 by SIGTERM) after an import had stored what was under way.

mod args;
mod chunks;
mod commands;
mod errors;
mod histogram;
mod interrupt;
mod limits;
mod output;
mod pipeline;
mod problems;
mod progress;
mod store;
mod table;
mod text;
mod trust;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::errors::{Failure, Status};
use crate::output::Stdout;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with status 0. A closed pipe is no concern.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    limits::raise();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start").caused_by(error))
        .and_then(|runtime| runtime.block_on(run(cli)));
    match outcome {
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
