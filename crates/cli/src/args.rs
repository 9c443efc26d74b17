//! Command-line arguments.

mod evidence;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use attestry::{Query, Timestamp};
use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;
use serde_json::Value;

pub(crate) use self::evidence::{
    CheckpointArgs, ExportArgs, PolicyArgs, ProveArgs, VerifyArgs, VerifyProofArgs,
};
pub(crate) use self::values::{ListFormat, ReportFormat, Safety, StatsFormat};
use self::values::{metadata, until};
use crate::errors::Failure;

/// Audit log for AI systems: record interactions with models, list, verify and erase them
#[derive(Debug, Parser)]
#[command(name = "attestry", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Examples:
  attestry import interactions.jsonl         record one interaction per line
  attestry list --since 2026-01-28           list entries since that day
  attestry check --against interactions.jsonl
                                             find damage and missing interactions
  attestry verify --public-key signing.key.pub
                                             find tampering

check or verify:
  check    like fsck: reads every entry, and finds corrupt records, duplicate ids
           and content that does not match its hash. Works with every store.
  verify   compares every entry with the Merkle tree and the signed checkpoints, and
           finds entries that were altered, removed, inserted or moved. Needs a store
           that was written with --signing-key.

Environment:
  ATTESTRY_STORE     default of --store
  ATTESTRY_KEY_FILE  default of --key-file
  ATTESTRY_KEY       the key itself, if no key file is given; several keys are
                     separated by commas: the first encrypts, all decrypt
  ATTESTRY_SIGNING_KEY_FILE
                     default of --signing-key

Exit status:
  0  success
  1  an entry was not found, or problems were found
  2  wrong usage or failure; entries that were acknowledged are stored

`attestry COMMAND --help` has examples of each command.";

/// The store and its keys.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Store: a folder, or a URL such as `file:///var/log/audit`, `memory:` or
    /// `s3://bucket/prefix?region=eu-central-1`
    #[arg(
        long,
        global = true,
        value_name = "PATH|URL",
        env = "ATTESTRY_STORE",
        hide_env_values = true,
        default_value = "./audit",
        help_heading = "Store"
    )]
    pub(crate) store: OsString,

    /// File with the key that encrypts and decrypts content, created by `attestry key generate`
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ATTESTRY_KEY_FILE",
        hide_env_values = true,
        help_heading = "Store"
    )]
    pub(crate) key_file: Option<PathBuf>,

    /// File with the key that signs checkpoints. Commands that write then extend the Merkle tree of
    /// the store, and sign a checkpoint when they end; see `attestry checkpoint`
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ATTESTRY_SIGNING_KEY_FILE",
        hide_env_values = true,
        help_heading = "Store"
    )]
    pub(crate) signing_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record one interaction and print the id of its entry
    Log(Box<LogArgs>),
    /// Record the interactions of a JSON Lines file and print the ids of their entries
    Import(ImportArgs),
    /// Print one entry as it is stored: a line of JSON
    Get(GetArgs),
    /// List entries as a table, JSON lines or CSV, with filters
    List(ListArgs),
    /// Print the number of entries
    Count(CountArgs),
    /// Erase entries by id
    Delete(DeleteArgs),
    /// Erase entries that are older than the retention period
    Cleanup(CleanupArgs),
    /// Reclaim the space of erased entries in sealed segments
    #[command(after_help = "\
Erasing overwrites the bytes of an entry with spaces, and keeps their space. This
command rewrites sealed segments without the blank lines. Each segment is replaced
atomically.

Examples:
  attestry cleanup && attestry compact       in a nightly job")]
    Compact,
    /// Summarise entries by provider and model
    Stats(StatsArgs),
    /// Check the records, like fsck: find corrupt records, duplicate ids, wrong content hashes
    ///
    /// Reads every entry and reports records that cannot be read, ids that occur more than once, and
    /// stored content that does not match its hash. Works with every store and changes nothing.
    ///
    /// This finds damage. To find tampering, use `attestry verify`: it compares the entries with the
    /// Merkle tree and with signed checkpoints.
    Check(CheckArgs),
    /// Sign a checkpoint of the Merkle tree and print it
    Checkpoint(CheckpointArgs),
    /// Verify the entries against the Merkle tree and signed checkpoints: find tampering
    ///
    /// Finds entries that were altered, removed, inserted or moved, also by an attacker with write
    /// access to the files. Needs a store that was written with --signing-key.
    ///
    /// To find damage such as corrupt records, or to check a store without a tree, use `attestry check`.
    Verify(VerifyArgs),
    /// Print the inclusion proof of an entry, or a consistency proof of the log
    Prove(ProveArgs),
    /// Verify an inclusion proof without access to the store
    VerifyProof(VerifyProofArgs),
    /// Copy entries to a new folder, with inclusion proofs if requested
    Export(ExportArgs),
    /// Create keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
#[command(
    override_usage = "attestry log [OPTIONS] <--input TEXT|--input-file FILE> \
                      <--output TEXT|--output-file FILE>",
    group(ArgGroup::new("input_source").required(true).args(["input", "input_file"])),
    group(ArgGroup::new("output_source").required(true).args(["output", "output_file"])),
    after_help = "\
Arguments are visible in the process list and kept in the shell's history. For
confidential text use --input-file and --output-file.

Examples:
  attestry log --input 'What is 2+2?' --output 4 --provider openai --model gpt-4
  attestry log --input-file prompt.txt --output-file answer.txt --store-content
  ask 'What is 2+2?' | attestry log --input 'What is 2+2?' --output-file -
  attestry log --input ... --output ... --safety failed --detector pii \\
      --block-reason 'policy 4.2' --metadata user=\"42\" --metadata tags='[\"a\"]'"
)]
pub(crate) struct LogArgs {
    /// Input of the model, such as the prompt
    #[arg(long, value_name = "TEXT")]
    pub(crate) input: Option<String>,
    /// File with the input; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input_file: Option<PathBuf>,
    /// Output of the model
    #[arg(long, value_name = "TEXT")]
    pub(crate) output: Option<String>,
    /// File with the output; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) output_file: Option<PathBuf>,
    /// AI provider, such as openai
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Model, such as gpt-4
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Identifier that the interactions of one conversation share
    #[arg(long, alias = "conversation", value_name = "ID")]
    pub(crate) conversation_id: Option<String>,
    /// Result of the safety checks
    #[arg(long, value_name = "OUTCOME", default_value = "passed")]
    pub(crate) safety: Safety,
    /// Same as --safety failed
    #[arg(long, conflicts_with = "safety")]
    pub(crate) safety_failed: bool,
    /// Safety detector that triggered; may be repeated
    #[arg(long = "detector", value_name = "NAME")]
    pub(crate) detectors: Vec<String>,
    /// Reason why the request was blocked
    #[arg(long, value_name = "TEXT")]
    pub(crate) block_reason: Option<String>,
    /// Alert message; may be repeated
    #[arg(long = "alert", value_name = "TEXT")]
    pub(crate) alerts: Vec<String>,
    /// Latency of the request in milliseconds
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) latency_ms: Option<f64>,
    /// Number of input tokens
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) input_tokens: Option<i64>,
    /// Number of output tokens
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) output_tokens: Option<i64>,
    /// Additional field; VALUE is parsed as JSON, or stored as text if it is not JSON; may be
    /// repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = metadata)]
    pub(crate) metadata: Vec<(String, Value)>,
    /// Time of the interaction, in UTC unless it has an offset; default: now
    #[arg(long, value_name = "TIME")]
    pub(crate) timestamp: Option<Timestamp>,
    /// Store the texts, encrypted if a key is given; default: only their SHA-256 hashes
    #[arg(long)]
    pub(crate) store_content: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each line is a JSON object with `input` and `output`. Optional fields: `provider`,
`model`, `conversation_id`, `safety_passed`, `detectors_triggered`, `block_reason`,
`alerts`, `latency_ms`, `input_tokens`, `output_tokens`, `metadata`, `timestamp`.

An id is printed once its entry is on stable storage, in the order of the lines. Bad
lines are reported on standard error as FILE:LINE: REASON; the other lines are
recorded, and the exit status is 1. Ctrl-C completes the current batch, prints its
ids, and prints the line to continue from. If standard output is closed, the import
continues.

Examples:
  attestry import interactions.jsonl
  attestry --key-file audit.key import interactions.jsonl --store-content > ids
  my-service | attestry import -
  attestry --store memory: import interactions.jsonl    check the lines, store nothing")]
pub(crate) struct ImportArgs {
    /// File to import; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Store the texts, encrypted if a key is given; default: only their SHA-256 hashes
    #[arg(long)]
    pub(crate) store_content: bool,
}

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

/// Filters that select entries.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Only entries at or after TIME, such as 2026-01-28 or 2026-01-28T09:15:00.5; UTC unless it has
    /// an offset
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Only entries at or before TIME; a date means the end of that day
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub(crate) until: Option<Timestamp>,
    /// Only entries of this provider
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Only entries of this model
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Only entries of this conversation
    #[arg(long, alias = "conversation-id", value_name = "ID")]
    pub(crate) conversation: Option<String>,
    /// Only entries with this result of the safety checks
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) safety: Option<Safety>,
    /// Only entries for which this detector triggered
    #[arg(long, value_name = "NAME")]
    pub(crate) detector: Option<String>,
}

impl Selection {
    /// Fails if the filters contradict each other.
    pub(crate) fn query(self) -> Result<Query, Failure> {
        let query = Query::new()
            .since(self.since)
            .until(self.until)
            .provider(self.provider)
            .model(self.model)
            .conversation_id(self.conversation)
            .safety_passed(self.safety.map(Safety::passed))
            .detector(self.detector);
        query.validate()?;
        Ok(query)
    }
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
Prints the ids of the erased entries. Ids without an entry are reported on standard
error, the other entries are erased, and the exit status is 1.

Examples:
  attestry delete 550e8400-e29b-41d4-a716-446655440000
  attestry delete --reason 'Art. 17 GDPR, request 4711' --by dpo@example.com \\
      550e8400-e29b-41d4-a716-446655440000
  attestry list --conversation conv-17 --format json | jq -r .id | xargs attestry delete")]
pub(crate) struct DeleteArgs {
    /// Ids of the entries
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) erasure: ErasureArgs,
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

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attestry cleanup --dry-run                 count the expired entries
  attestry cleanup --retention-days 90       erase entries that are 90 days old or older")]
pub(crate) struct CleanupArgs {
    /// Retention period in days of 24 hours
    #[arg(long, value_name = "NUMBER", default_value_t = 365)]
    pub(crate) retention_days: u32,
    /// Print the number of entries that would be erased, and erase none
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) erasure: ErasureArgs,
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
Encrypted content is checked if its key is given. With --against, each interaction of
FILE that is not recorded is reported, too.

Examples:
  attestry check
  attestry --key-file audit.key check
  attestry check --against interactions.jsonl
  attestry check --format json | jq '.problems[]'

The exit status is 1 if there are problems.")]
pub(crate) struct CheckArgs {
    /// Imported file, each interaction of which must be recorded
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// Output format
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a random key in a new file that only its owner can read
    #[command(after_help = "\
Keep a copy of the key in a safe place: without it, the content that it encrypted is
lost. To replace a key, put the new one on a line above the old one: the first key
encrypts, all keys decrypt.

A signing key signs the checkpoints of a store. Its public key is written to a second
file, whose name ends in .pub. Give that file to the verifiers before they need it.

Examples:
  attestry key generate --out audit.key
  attestry --key-file audit.key import interactions.jsonl --store-content
  attestry key generate --signing --name example.com/audit --out signing.key
  attestry --signing-key signing.key checkpoint")]
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// File to create; it must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Create a key that signs checkpoints instead of one that encrypts content
    #[arg(long)]
    pub(crate) signing: bool,
    /// Origin of the log that the key signs, by convention a URL without its scheme; default: a
    /// random name
    #[arg(long, value_name = "NAME", requires = "signing")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attestry completions bash > ~/.local/share/bash-completion/completions/attestry
  attestry completions fish > ~/.config/fish/completions/attestry.fish
  attestry completions zsh > \"${fpath[1]}/_attestry\"")]
pub(crate) struct CompletionsArgs {
    /// Shell to complete commands in
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn command_definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
