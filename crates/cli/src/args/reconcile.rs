//! Arguments of `reconcile`.

use std::path::PathBuf;

use clap::Args;

use super::ReportFormat;
use super::values::SourceFormat;

#[derive(Debug, Args)]
#[command(after_help = "\
FILE is a record that another program made of the same calls: a provider's invocation log,
a gateway's log, telemetry, or any other file that `attestry import` reads. Reported are

  only there   calls that have no entry here
  only here    entries, from the time of the first call there to that of the last, that
               have no call there
  differs      calls whose content hashes, model or tokens differ

A call there is of an entry here if they have the same id, the same id of the provider's
response, or the same span; else if their contents have the same hashes and their times
differ by at most ten minutes. Values that only one of them has are not compared.

Calls that the store has on record as erased are counted, and are no problem. A record of
an erasure has the hash of the erased line, so this is known of imported calls only.

Examples:
  attestry reconcile --against bedrock-logs/
  attestry reconcile --against 'litellm/2026-11-*/*.json' --format json | jq .

The exit status is 1 if anything is reported.")]
pub(crate) struct ReconcileArgs {
    /// Files, folders and patterns to compare the entries with
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) against: Vec<PathBuf>,
    /// The format of the records; default: recognised for each file
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub(crate) from: SourceFormat,
    /// Output: a table, or JSON lines
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
}
