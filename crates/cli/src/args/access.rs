//! Arguments of `access`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ReportFormat, ZoneArgs};
use crate::times::TimeText;

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// List what was read, exported, decrypted, erased and verified, and by which token
    #[command(after_help = "\
Each access is one line. COUNT is the number of entries that the client got, or that were
erased or verified. An access that was cut off, because the client disconnected, has the
outcome `abandoned` and the count so far.

Actions: read, list, export, decrypt, prove, stats, verify, delete, cleanup,
failed-authentication, reload-tokens.

Examples:
  attestry access list --since yesterday
  attestry access list --client auditor --action decrypt
  attestry access list --format json | jq 'select(.count > 1000)'")]
    List(AccessListArgs),
    /// Verify the access log against its Merkle tree and signed checkpoints
    ///
    /// Its key is that of the store, under the name of the store's key with `/access` at the end.
    #[command(after_help = "\
Examples:
  attestry access verify --public-key signing.key.pub

The exit status is 1 if there are problems.")]
    Verify(AccessVerifyArgs),
    /// Erase accesses that are older than the retention period
    #[command(after_help = "\
`attestry serve --access-retention-days` does it each night. That this command did it is
an access of its own. With --signing-key, the erasure record is signed by the key of the
access log.

Examples:
  attestry access cleanup --retention-days 90 --dry-run
  attestry --signing-key signing.key access cleanup --retention-days 90")]
    Cleanup(AccessCleanupArgs),
}

/// The access log.
#[derive(Debug, Args)]
pub(crate) struct AccessLogArgs {
    /// Folder of the access log [default: .attestry/access in the folder of the store]
    #[arg(long, value_name = "FOLDER", env = "ATTESTRY_SERVE_ACCESS_LOG")]
    pub(crate) access_log: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AccessListArgs {
    /// Maximum number of accesses
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,
    /// Latest accesses first
    #[arg(long)]
    pub(crate) desc: bool,
    /// Output format; json prints one access a line
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
    /// Only accesses with the token of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) client: Option<String>,
    /// Only accesses of this kind
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// Only accesses at or after TIME
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<TimeText>,
    /// Only accesses at or before TIME; a day or month means its end
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<TimeText>,
    #[command(flatten)]
    pub(crate) zone: ZoneArgs,
    #[command(flatten)]
    pub(crate) log: AccessLogArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AccessCleanupArgs {
    /// Retention period in days of 24 hours
    #[arg(long, value_name = "NUMBER")]
    pub(crate) retention_days: u32,
    /// Print the number of accesses that would be erased, and erase none
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Erase also if more than half of the accesses have expired
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) log: AccessLogArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AccessVerifyArgs {
    /// File with the public key of the store's log
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: PathBuf,
    /// Output format
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) log: AccessLogArgs,
}
