//! `attestry completions`: prints a completion script.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;

pub(super) fn run(args: &CompletionsArgs, out: &mut Stdout) -> Result<Status, Failure> {
    // To memory first, because the generator panics if a write fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "attestry", &mut script);
    out.bytes(&script)?;
    Ok(Status::Success)
}
