//! Arguments of the commands that find and summarise entries.

use std::path::PathBuf;

use attestry::stats::{GroupKey, Percentile};
use clap::Args;

use super::{ListFormat, PhaseArgs, SearchFormat, Selection, StatsFormat, ZoneArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attestry get 550e8400-e29b-41d4-a716-446655440000
  attestry --key-file audit.key get 550e8400-e29b-41d4-a716-446655440000 --decrypt | jq .
  attestry import interactions.jsonl | attestry get -

Ids without an entry are reported on standard error, the other entries are printed,
and the exit status is 1. It is 1, too, if a content does not match its hash.")]
pub(crate) struct GetArgs {
    /// Ids of the entries; `-` reads ids from standard input, one a line
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
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
metadata as JSON, and times as 2026-01-28T09:15:00.000000Z, which pandas and DuckDB
parse. A spreadsheet may evaluate a value that begins with `=` as a formula: import
the file as text, or neutralise such values with --csv-safe.

Examples:
  attestry list --limit 20 --desc                 the latest 20 entries
  attestry list --since 2026-01-01 --until 2026-01-31 --safety failed
  attestry list --conversation conv-17 --format json | jq -r .id
  attestry list --since 7d --user u-17 --metadata team=search
  attestry list --phase open --until 1h           calls without an end
  attestry list --format csv > entries.csv")]
pub(crate) struct ListArgs {
    /// Maximum number of entries
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,
    /// Latest entries first
    #[arg(long)]
    pub(crate) desc: bool,
    /// Output format
    #[arg(long, default_value = "table")]
    pub(crate) format: ListFormat,
    /// Print stored content as plain text in json and csv, after comparing it with the hashes
    #[arg(long)]
    pub(crate) decrypt: bool,
    /// Put a quote before values in csv that a spreadsheet would evaluate as a formula
    #[arg(long)]
    pub(crate) csv_safe: bool,
    #[command(flatten)]
    pub(crate) phase: PhaseArgs,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Counts each call once, also one that was recorded at its start and at its end: all
entries are read. `--phase all` counts entries, and reads none without other options.

Examples:
  attestry count
  attestry count --phase all
  attestry count --safety failed --since 2026-01-01")]
pub(crate) struct CountArgs {
    #[command(flatten)]
    pub(crate) phase: PhaseArgs,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each call is counted once. Latencies are in milliseconds; entries without a latency (0) are left out. Percentiles
(nearest rank) have an error of at most 0.4 %, whatever the number of entries; the
maximum is exact. Memory grows with the number of groups. csv has a row for each group
and no total.

Examples:
  attestry stats
  attestry stats --since 2026-01 --until 2026-01 --provider openai
  attestry stats --by day,model --tz Europe/Berlin --format csv > days.csv
  attestry stats --by tenant,metadata:team --percentile 50,95,99.9
  attestry stats --format json | jq .total.safety_failed")]
pub(crate) struct StatsArgs {
    /// Fields to group by: provider, model, conversation, safety, year, month, day, user, tenant or
    /// metadata:KEY
    #[arg(long, value_name = "KEYS", value_delimiter = ',', default_value = "provider,model")]
    pub(crate) by: Vec<GroupKey>,
    /// Percentiles of the latency
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "50,90,99")]
    pub(crate) percentile: Vec<Percentile>,
    /// Output format
    #[arg(long, default_value = "table")]
    pub(crate) format: StatsFormat,
    /// Put a quote before values in csv that a spreadsheet would evaluate as a formula
    #[arg(long)]
    pub(crate) csv_safe: bool,
    #[command(flatten)]
    pub(crate) phase: PhaseArgs,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Writes entries.jsonl, with the stored line of each entry. With --with-proofs, also
writes proofs/NNNNNNNN.tlog-proof for the entry in that line, counted from 1, and the
latest checkpoint to the file `checkpoint`. With these files and the public key, an
auditor can verify each entry.

Only the owner can read the folder. Until everything is on stable storage, it contains a
file INCOMPLETE.json; --resume continues such an export.

With --tiles, writes the Merkle tree for a static web server instead: the latest
checkpoint and the tiles of C2SP tlog-tiles, which are hashes, not entries. Run it again
to add what is new.

Examples:
  attestry export --out for-the-auditor --since 2026-01-01 --with-proofs
  attestry export --tiles /var/www/audit
  head -1 for-the-auditor/entries.jsonl > entry.json
  attestry verify-proof for-the-auditor/proofs/00000001.tlog-proof \\
      --public-key signing.key.pub entry.json")]
pub(crate) struct ExportArgs {
    /// Folder to create; it must not exist
    #[arg(long, value_name = "FOLDER", required_unless_present = "tiles")]
    pub(crate) out: Option<PathBuf>,
    /// Continue an incomplete export, with the conditions it was started with
    #[arg(long, conflicts_with = "tiles")]
    pub(crate) resume: bool,
    /// Write an inclusion proof for each entry
    #[arg(long, conflicts_with = "tiles")]
    pub(crate) with_proofs: bool,
    /// Folder to bring up to the latest checkpoint, as tiles of the Merkle tree; created if missing
    #[arg(long, value_name = "FOLDER", conflicts_with = "out")]
    pub(crate) tiles: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Prints each entry of a conversation as a turn: time, model, latency, tokens, results of
the safety checks, metadata, and its input and output as far as they are stored.
Messages that a chat repeats with each turn are printed once. Tool calls, images and
other files are named. Control characters are escaped.

Encrypted content is decrypted if its key is given, and compared with its hash.

Examples:
  attestry show conv-17
  attestry --key-file audit.key show 550e8400-e29b-41d4-a716-446655440000
  attestry show conv-17 --tz Europe/Berlin | less

The exit status is 1 if there is no such conversation or entry, or if a content does not
match its hash.")]
pub(crate) struct ShowArgs {
    /// Conversation, or id of an entry
    #[arg(value_name = "CONVERSATION|ID", required = true)]
    pub(crate) names: Vec<String>,
    /// Width of the output in columns; default: that of the terminal, at most 120
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) width: Option<usize>,
    #[command(flatten)]
    pub(crate) zone: ZoneArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Searches the stored input and output, block reasons, alerts and the texts of metadata.
Upper and lower case differ. Unlike grep on the files, it finds text that JSON escapes,
and encrypted content if its key is given.

There is no index for this: every entry that meets the conditions is read. Narrow the
search with conditions such as --since. Content of which only the hash is stored cannot
be found; `attestry check --against` finds a whole text by its hash.

Examples:
  attestry search 'account number' --since 7d
  attestry --key-file audit.key search Müller --user u-17
  attestry search 4711 --format id | attestry delete - --dry-run")]
pub(crate) struct SearchArgs {
    /// Text to find
    #[arg(value_name = "TEXT")]
    pub(crate) text: String,
    /// Maximum number of entries
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,
    /// Latest entries first
    #[arg(long)]
    pub(crate) desc: bool,
    /// Output format: each match with its surroundings, the decrypted entry, or its id
    #[arg(long, default_value = "text")]
    pub(crate) format: SearchFormat,
    #[command(flatten)]
    pub(crate) phase: PhaseArgs,
    #[command(flatten)]
    pub(crate) selection: Selection,
}
