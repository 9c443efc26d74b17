//! Arguments of the commands that check a store and erase entries.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Filters, ReportFormat, Selection};
use crate::times::duration;

/// When a call without an end is reported.
#[derive(Debug, Args)]
pub(crate) struct GraceArgs {
    /// Report calls without an end that started longer ago than DURATION, such as 15m or 2d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub(crate) grace: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Encrypted content is checked if its key is given. With --against, each interaction of
FILE that is not recorded is reported, too. FILE can also be an export (entries.jsonl):
then lines that the store has on record as erased are counted, and are no problem.

Calls without an end that started before the grace period are counted and named. They
are no damage of the store: their process was killed, or they take that long.

Examples:
  attestry check
  attestry check --grace 15m
  attestry --key-file audit.key check
  attestry check --against interactions.jsonl
  attestry check --format json | jq '.problems[]'

The exit status is 1 if there are problems. Calls without an end do not change it.")]
pub(crate) struct CheckArgs {
    /// Imported file, each interaction of which must be recorded
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) grace: GraceArgs,
    /// Output format
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The copy is the store at one moment, with everything that was acknowledged before, its
tree, checkpoints and quarantine. Programs go on writing; they wait only while what has
changed in the meantime is copied. DIR exists only when the copy is whole: until then it
is DIR.incomplete, which an interrupted backup leaves behind.

File systems that can share blocks, such as Btrfs and XFS, copy in no time. --hard-links
is for other ones, and for a copy that is copied elsewhere at once: an entry that is erased
from the store later is gone from a linked segment, too, and never open such a copy for
writing.

Examples:
  attestry backup /backup/audit-$(date +%F)
  attestry backup /var/tmp/copy --hard-links && rsync -a /var/tmp/copy host:/backup/
  attestry --store /backup/audit-2026-01-28 verify --public-key signing.key.pub")]
pub(crate) struct BackupArgs {
    /// Folder to create for the copy, outside the store
    #[arg(value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Link sealed segments where possible instead of copying them
    #[arg(long)]
    pub(crate) hard_links: bool,
    /// Output format
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Erases torn lines of the entries in quarantine, too.
Prints the ids of the erased entries. Ids without an entry are reported on standard
error, the other entries are erased, and the exit status is 1.

Instead of ids, conditions can select the entries. A selection of more than half of the
store is erased only with --yes; look at it first with --dry-run.

Examples:
  attestry delete 550e8400-e29b-41d4-a716-446655440000
  attestry delete --reason 'Art. 17 GDPR, request 4711' --by dpo@example.com --user u-17
  attestry delete --conversation conv-17 --dry-run
  attestry delete - < ids                    an empty list is no error")]
pub(crate) struct DeleteArgs {
    /// Ids of the entries; `-` reads ids from standard input, one a line
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Print the ids of the entries that would be erased, and erase none
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Erase the selection even if it is more than half of the entries
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) erasure: ErasureArgs,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
With conditions, only expired entries that meet them are erased: a tenant, for
instance, can have a retention period of its own.

Examples:
  attestry cleanup --dry-run                 count the expired entries
  attestry cleanup --retention-days 90       erase entries that are 90 days old or older
  attestry cleanup --retention-days 30 --tenant acme")]
pub(crate) struct CleanupArgs {
    /// Retention period in days of 24 hours
    #[arg(long, value_name = "NUMBER", default_value_t = 365)]
    pub(crate) retention_days: u32,
    /// Print the number of entries that would be erased, and erase none
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Erase also if more than half of the entries have expired. Without it, that is an error: it is what a
    /// wrong clock looks like
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) erasure: ErasureArgs,
    #[command(flatten)]
    pub(crate) filters: Filters,
}

/// Contents of the erasure record.
#[derive(Debug, Args)]
pub(crate) struct ErasureArgs {
    /// Reason in the erasure record of a store with a Merkle tree. The record is never erased: do not
    /// describe the erased content
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Name in the erasure record of a store with a Merkle tree; default: the current user
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}
