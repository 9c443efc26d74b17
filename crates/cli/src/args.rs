//! The command line.

mod evidence;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use attestry::{Query, Timestamp};
use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;
use serde_json::Value;

pub(crate) use self::evidence::{
    CheckpointArgs, ExportArgs, ProveArgs, TrustArgs, VerifyArgs, VerifyProofArgs,
};
pub(crate) use self::values::{CheckFormat, ListFormat, Safety, StatsFormat};
use self::values::{metadata, until};
use crate::errors::Failure;

/// The audit log for AI: record what a model was asked and what it answered, find it again, check
/// it, and let it expire.
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
  attestry list --since 2026-01-28           find them again
  attestry check --against interactions.jsonl
                                             prove that each is recorded
  attestry verify --public-key signing.key.pub
                                             prove that nothing was changed since

Environment:
  ATTESTRY_STORE     as --store
  ATTESTRY_KEY_FILE  as --key-file
  ATTESTRY_KEY       the key itself, where no key file is given; several are
                     separated by commas, the first encrypts, all decrypt
  ATTESTRY_SIGNING_KEY_FILE
                     as --signing-key

Exit status:
  0  done
  1  what was asked for is not there, or problems were found
  2  wrong usage or failure; nothing that was acknowledged is lost

`attestry COMMAND --help` has examples of each command.";

/// Which store, and with which key.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The store: a folder, or a URL such as `file:///var/log/audit`, `memory:` or
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

    /// A file with the key that encrypts and decrypts contents; see `attestry key generate`
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ATTESTRY_KEY_FILE",
        hide_env_values = true,
        help_heading = "Store"
    )]
    pub(crate) key_file: Option<PathBuf>,

    /// A file with the key that signs checkpoints: whatever writes to the store keeps evidence of it
    /// and signs that at its end; see `attestry checkpoint`
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
    /// Print one entry as the JSON line it is stored as
    Get(GetArgs),
    /// List entries by time, provider, model, conversation and outcome
    List(ListArgs),
    /// Print how many entries there are
    Count(CountArgs),
    /// Erase entries
    Delete(DeleteArgs),
    /// Erase the entries that are older than the retention period
    Cleanup(CleanupArgs),
    /// Give back the space that erased entries still take in sealed segments
    #[command(after_help = "\
Erased entries leave blank lines behind; their bytes are gone, the space is not. This
rewrites sealed segments without them, each in one step.

Examples:
  attestry cleanup && attestry compact       in a nightly job")]
    Compact,
    /// Summarise entries by provider and model
    Stats(StatsArgs),
    /// Read the whole store and name everything that is wrong in it
    Check(CheckArgs),
    /// Sign what the store holds now, and print it: for somebody else to keep
    Checkpoint(CheckpointArgs),
    /// Prove that nothing in the store was altered, inserted, dropped or moved
    Verify(VerifyArgs),
    /// Print the proof that an entry is in the log
    Prove(ProveArgs),
    /// Check the proof of an entry, without the store
    VerifyProof(VerifyProofArgs),
    /// Copy entries out of the store, with proofs if wanted
    Export(ExportArgs),
    /// Make keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a script that completes commands and options in a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
#[command(
    override_usage = "attestry log [OPTIONS] <--input TEXT|--input-file FILE> \
                      <--output TEXT|--output-file FILE>",
    group(ArgGroup::new("asked").required(true).args(["input", "input_file"])),
    group(ArgGroup::new("answered").required(true).args(["output", "output_file"])),
    after_help = "\
Examples:
  attestry log --input 'What is 2+2?' --output 4 --provider openai --model gpt-4
  attestry log --input-file prompt.txt --output-file answer.txt --store-content
  ask 'What is 2+2?' | attestry log --input 'What is 2+2?' --output-file -
  attestry log --input ... --output ... --safety failed --detector pii \\
      --block-reason 'policy 4.2' --metadata user=\"42\" --metadata tags='[\"a\"]'

Texts given as arguments are seen by whoever lists processes, and kept by the
shell's history; --input-file and --output-file avoid both."
)]
pub(crate) struct LogArgs {
    /// What was asked
    #[arg(long, value_name = "TEXT")]
    pub(crate) input: Option<String>,
    /// A file with what was asked; `-` reads the standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input_file: Option<PathBuf>,
    /// What was answered
    #[arg(long, value_name = "TEXT")]
    pub(crate) output: Option<String>,
    /// A file with what was answered; `-` reads the standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) output_file: Option<PathBuf>,
    /// The AI provider, such as openai
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// The model, such as gpt-4
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Links the interactions of one conversation
    #[arg(long, alias = "conversation", value_name = "ID")]
    pub(crate) conversation_id: Option<String>,
    /// Whether it passed the safety checks
    #[arg(long, value_name = "OUTCOME", default_value = "passed")]
    pub(crate) safety: Safety,
    /// The same as --safety failed
    #[arg(long, conflicts_with = "safety")]
    pub(crate) safety_failed: bool,
    /// A safety detector that triggered; may be repeated
    #[arg(long = "detector", value_name = "NAME")]
    pub(crate) detectors: Vec<String>,
    /// Why the request was blocked
    #[arg(long, value_name = "TEXT")]
    pub(crate) block_reason: Option<String>,
    /// An alert message; may be repeated
    #[arg(long = "alert", value_name = "TEXT")]
    pub(crate) alerts: Vec<String>,
    /// How long the request took, in milliseconds
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) latency_ms: Option<f64>,
    /// Tokens of the input
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) input_tokens: Option<i64>,
    /// Tokens of the output
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) output_tokens: Option<i64>,
    /// Anything else; VALUE is JSON where it can be read as such, otherwise a text; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = metadata)]
    pub(crate) metadata: Vec<(String, Value)>,
    /// When it occurred, UTC unless it says otherwise; now by default
    #[arg(long, value_name = "TIME")]
    pub(crate) timestamp: Option<Timestamp>,
    /// Store the texts too, encrypted if a key is given; otherwise only their SHA-256
    #[arg(long)]
    pub(crate) store_content: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each line is a JSON object: `input` and `output`, and as far as known `provider`,
`model`, `conversation_id`, `safety_passed`, `detectors_triggered`, `block_reason`,
`alerts`, `latency_ms`, `input_tokens`, `output_tokens`, `metadata`, `timestamp`.

An id is printed once its entry is on stable storage, in the order of the lines. A
line that cannot be taken is named on the standard error as FILE:LINE: REASON, the
others are recorded, and the exit status is 1. Ctrl-C stores what is under way,
prints its ids and says where to go on. Should nobody read the ids any more, the
rest is recorded all the same.

Examples:
  attestry import interactions.jsonl
  attestry --key-file audit.key import interactions.jsonl --store-content > ids
  my-service | attestry import -
  attestry --store memory: import interactions.jsonl    only looks for bad lines")]
pub(crate) struct ImportArgs {
    /// The file; `-` reads the standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Store the texts too, encrypted if a key is given; otherwise only their SHA-256
    #[arg(long)]
    pub(crate) store_content: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attestry get 550e8400-e29b-41d4-a716-446655440000
  attestry --key-file audit.key get 550e8400-e29b-41d4-a716-446655440000 --decrypt | jq .

The exit status is 1 when there is no such entry, and when its content does not match
its hash.")]
pub(crate) struct GetArgs {
    /// The id of the entry
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Print the contents as plain text, checked against the entry's hashes
    #[arg(long)]
    pub(crate) decrypt: bool,
    /// Print the line as it is stored even where that is no JSON: Python writes NaN and Infinity
    #[arg(long, conflicts_with = "decrypt")]
    pub(crate) raw: bool,
}

/// Which entries.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Only entries at or after TIME: 2026-01-28, 2026-01-28T09:15:00.5, or with an offset; UTC
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Only entries at or before TIME; a date alone means the end of that day
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
    /// Only entries that passed, or failed, the safety checks
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) safety: Option<Safety>,
    /// Only entries in which this detector triggered
    #[arg(long, value_name = "NAME")]
    pub(crate) detector: Option<String>,
}

impl Selection {
    /// The query, if it does not contradict itself.
    pub(crate) fn query(self) -> Result<Query, Failure> {
        let mut query = Query::new();
        query.since = self.since;
        query.until = self.until;
        query.provider = self.provider;
        query.model = self.model;
        query.conversation_id = self.conversation;
        query.safety_passed = self.safety.map(Safety::passed);
        query.detector = self.detector;
        query.validate()?;
        Ok(query)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attestry list --limit 20 --desc                 the latest 20
  attestry list --since 2026-01-01 --until 2026-01-31 --safety failed
  attestry list --conversation conv-17 --format json | jq -r .id
  attestry list --format csv > entries.csv

json gives each entry as the line it is stored as. csv gives all 17 columns, lists and
metadata as JSON. Its values stand as they are: a spreadsheet may take one that begins
with `=` for a formula, so import it as text.")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// At most this many entries
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,
    /// Latest first
    #[arg(long)]
    pub(crate) desc: bool,
    /// How to print them
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
Prints the ids of the entries that were erased. Ids that are not there are named on
the standard error, the others are erased, and the exit status is 1.

Examples:
  attestry delete 550e8400-e29b-41d4-a716-446655440000
  attestry delete --reason 'Art. 17 GDPR, request 4711' --by dpo@example.com \\
      550e8400-e29b-41d4-a716-446655440000
  attestry list --conversation conv-17 --format json | jq -r .id | xargs attestry delete")]
pub(crate) struct DeleteArgs {
    /// The ids of the entries
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
}

/// What is put on record about an erasure.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Why, where the store keeps evidence; it stays for ever, so say nothing of what was erased
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// In whose name, where the store keeps evidence; by default that of the user
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attestry cleanup --dry-run                 how many would go
  attestry cleanup --retention-days 90       erase what is 90 days old or older")]
pub(crate) struct CleanupArgs {
    /// Days of 24 hours that entries are kept
    #[arg(long, value_name = "NUMBER", default_value_t = 365)]
    pub(crate) retention_days: u32,
    /// Only say how many entries would be erased
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Latencies are in milliseconds. Entries without one (0) do not count for them. The
percentiles are exact to half a percent, the greatest latency is exact.

Examples:
  attestry stats
  attestry stats --since 2026-01-01 --until 2026-01-31 --provider openai
  attestry stats --format json | jq .total.safety_failed")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How to print them
    #[arg(long, default_value = "table")]
    pub(crate) format: StatsFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
It names each record that cannot be read, each id that is there twice, and each stored
content that does not match its hash; encrypted content is checked where the key is
given. With --against it also names each interaction of FILE that is not recorded.

Examples:
  attestry check
  attestry --key-file audit.key check
  attestry check --against interactions.jsonl
  attestry check --format json | jq '.problems[]'

The exit status is 1 when there are problems.")]
pub(crate) struct CheckArgs {
    /// A file that was imported: each of its interactions must be recorded
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// How to print the result
    #[arg(long, default_value = "text")]
    pub(crate) format: CheckFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Write a new random key to a new file that only you can read
    #[command(after_help = "\
Examples:
  attestry key generate --out audit.key
  attestry --key-file audit.key import interactions.jsonl --store-content
  attestry key generate --signing --name example.com/audit --out signing.key
  attestry --signing-key signing.key checkpoint

Keep a copy in a safe place: without the key nobody can read what it encrypted. To
replace a key, put the new one on a line above the old one: the first encrypts, all
decrypt.

A signing key signs checkpoints of a store. Its public part goes to a file beside it
that ends in .pub: give that to whoever verifies, and early.")]
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The file to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Make a key that signs checkpoints instead of one that encrypts
    #[arg(long)]
    pub(crate) signing: bool,
    /// The name of the log that the key signs, by custom a URL without its scheme; a random one by
    /// default
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
    /// The shell
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
