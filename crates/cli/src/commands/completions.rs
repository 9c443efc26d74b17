//! `attestry completions`: a script for a shell.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;

pub(super) fn run(args: &CompletionsArgs, out: &mut Stdout) -> Result<Status, Failure> {
    // Into memory first: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "attestry", &mut script);
    out.bytes(&script)?;
    Ok(Status::Done)
}
