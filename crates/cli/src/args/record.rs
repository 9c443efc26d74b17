//! Arguments of the commands that record interactions.

use std::path::PathBuf;

use attestry::Timestamp;
use clap::{ArgGroup, Args};
use serde_json::Value;

use super::values::{Safety, metadata};

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
