//! Arguments of `attestry quarantine`.

use clap::{Args, Subcommand};

use super::ReportFormat;

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List the files in quarantine, with the id and the time of their entries where these are whole
    List(QuarantineListArgs),
    /// Print the bytes of a file
    Show(QuarantineShowArgs),
    /// Remove files
    Remove(QuarantineRemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineListArgs {
    /// Output format
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineShowArgs {
    /// Name of the file, as listed
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineRemoveArgs {
    /// Names of the files, as listed
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}
