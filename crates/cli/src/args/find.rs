//! Arguments of the commands that find and summarise entries.

use std::path::PathBuf;

use clap::Args;

use super::{ListFormat, Selection, StatsFormat};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attestry get 550e8400-e29b-41d4-a716-446655440000
  attestry --key-file audit.key get 550e8400-e29b-41d4-a716-446655440000 --decrypt | jq .

The exit status is 1 if there is no such entry, or if its content does not match its
hash.")]
pub(crate) struct GetArgs {
    /// Id of the entry
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Print the content as plain text, after comparing it with the hashes of the entry
    #[arg(long)]
    pub(crate) decrypt: bool,
    /// Print the stored line even if it is not JSON: the Python package writes NaN and Infinity
    #[arg(long, conflicts_with = "decrypt")]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
json prints each entry as its stored line. csv prints all 17 columns, with lists and
metadata as JSON. Values are not changed: import the file as text, because a
spreadsheet may evaluate a value that begins with `=` as a formula.

Examples:
  attestry list --limit 20 --desc                 the latest 20 entries
  attestry list --since 2026-01-01 --until 2026-01-31 --safety failed
  attestry list --conversation conv-17 --format json | jq -r .id
  attestry list --format csv > entries.csv")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Maximum number of entries
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,
    /// Latest entries first
    #[arg(long)]
    pub(crate) desc: bool,
    /// Output format
    #[arg(long, default_value = "table")]
    pub(crate) format: ListFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attestry count
  attestry count --safety failed --since 2026-01-01")]
pub(crate) struct CountArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Latencies are in milliseconds; entries without a latency (0) are left out. Percentiles
are accurate to 0.5 %, the maximum is exact.

Examples:
  attestry stats
  attestry stats --since 2026-01-01 --until 2026-01-31 --provider openai
  attestry stats --format json | jq .total.safety_failed")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Output format
    #[arg(long, default_value = "table")]
    pub(crate) format: StatsFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Writes entries.jsonl, with the stored line of each entry. With --with-proofs, also
writes proofs/NNNNNNNN.tlog-proof for the entry in that line, counted from 1, and the
latest checkpoint to the file `checkpoint`. With these files and the public key, an
auditor can verify each entry.

Examples:
  attestry export --out for-the-auditor --since 2026-01-01 --with-proofs
  head -1 for-the-auditor/entries.jsonl > entry.json
  attestry verify-proof for-the-auditor/proofs/00000001.tlog-proof \\
      --public-key signing.key.pub entry.json")]
pub(crate) struct ExportArgs {
    /// Folder to create; it must not exist
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// Write an inclusion proof for each entry
    #[arg(long)]
    pub(crate) with_proofs: bool,
    #[command(flatten)]
    pub(crate) selection: Selection,
}
