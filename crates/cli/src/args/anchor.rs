//! Arguments about checkpoints that leave the store.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::ReportFormat;
use super::values::duration;

/// Where checkpoints are handed over to.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Checkpoints elsewhere")]
pub(crate) struct AnchorArgs {
    /// Witness that cosigns each checkpoint: its URL and public key; may be repeated
    #[arg(long = "witness", value_name = "URL+KEY")]
    pub(crate) witnesses: Vec<String>,
    /// Number of witnesses that must cosign; default: all
    #[arg(long, value_name = "NUMBER", requires = "witnesses")]
    pub(crate) witnesses_needed: Option<usize>,
    /// Policy file (C2SP tlog-policy): its witnesses that have a URL are asked, and its quorum of them must cosign
    #[arg(long, value_name = "FILE", conflicts_with_all = ["witnesses", "witnesses_needed"])]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

/// Where checkpoints are handed over to, besides witnesses.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Checkpoints elsewhere")]
pub(crate) struct PlaceArgs {
    /// URL of a timestamp authority (RFC 3161) that stamps each checkpoint; may be repeated
    #[arg(long = "tsa", value_name = "URL")]
    pub(crate) authorities: Vec<String>,
    /// Ask timestamp authorities at most once in this time, such as 10m or 1h
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "authorities")]
    pub(crate) tsa_every: Option<Duration>,
    /// Place for checkpoints: folder:PATH, file:PATH, command:COMMAND, git:CLONE or
    /// s3://BUCKET/PREFIX?lock=compliance&lock_days=3650; may be repeated
    #[arg(long, value_name = "PLACE")]
    pub(crate) checkpoint_to: Vec<String>,
    /// Time to wait at the end for all of these; what is left is handed over by the next command
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub(crate) anchor_timeout: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Lists where checkpoints of the store have been handed over to, by the commands and services
that write to it: how many leaves each place has, since when it lacks newer ones, and why the
last attempt failed. It is what these processes noted in the folder of the store, not proof;
proof are the cosignatures, timestamps and checkpoints themselves, see `attestry verify`.

Examples:
  attestry anchors
  attestry anchors --format json | jq '.[] | select(.failures > 0)'

The exit status is 1 if the last attempt of any place failed.")]
pub(crate) struct AnchorsArgs {
    /// Output format
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
}

/// A file with root certificates.
#[derive(Debug, Args)]
pub(crate) struct TimestampArgs {
    /// File with the root certificates (PEM) of timestamp authorities: verifies the stored timestamps
    #[arg(long, value_name = "FILE", requires = "log_keys")]
    pub(crate) tsa_ca: Option<PathBuf>,
}
