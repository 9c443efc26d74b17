//! Arguments of the commands that record interactions.

use std::path::PathBuf;

use attestry::{EntryId, Timestamp};
use attestry_genai::UnknownSpans;
use clap::{ArgGroup, Args};
use serde_json::Value;

use super::AnchorArgs;
use super::values::{Outcome, ReportFormat, Safety, SourceFormat, metadata, metadata_text};

#[derive(Debug, Args)]
#[command(
    override_usage = "attestry log [OPTIONS] <--input TEXT|--input-file FILE>\n    \
                      <--output TEXT|--output-file FILE|--outcome OUTCOME>",
    group(ArgGroup::new("input_source").required(true).args(["input", "input_file"])),
    group(ArgGroup::new("output_source").args(["output", "output_file"])),
    after_help = "\
Arguments are visible in the process list and kept in the shell's history. For
confidential text use --input-file and --output-file.

Examples:
  attestry log --input 'What is 2+2?' --output 4 --provider openai --model gpt-4
  attestry log --input-file prompt.txt --output-file answer.txt --store-content
  ask 'What is 2+2?' | attestry log --input 'What is 2+2?' --output-file -
  attestry log --input ... --output ... --safety failed --detector pii \\
      --block-reason 'policy 4.2' --metadata-text user=42 --metadata tags='[\"a\"]'
  attestry log --input-file messages.json --json --outcome failed"
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
    /// Input and output are JSON, such as lists of messages: record them in canonical form
    #[arg(long)]
    pub(crate) json: bool,
    /// How the call ended; the output may be left out unless it was completed
    #[arg(long, value_name = "OUTCOME", required_unless_present = "output_source")]
    pub(crate) outcome: Option<Outcome>,
    /// Id of the entry: if the id is stored already, nothing is stored; default: a new id
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<EntryId>,
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
    /// repeated with other keys
    #[arg(long, value_name = "KEY=VALUE", value_parser = metadata)]
    pub(crate) metadata: Vec<(String, Value)>,
    /// Additional field whose value is text, also if it looks like a number; may be repeated
    #[arg(long, value_name = "KEY=TEXT", value_parser = metadata_text)]
    pub(crate) metadata_text: Vec<(String, Value)>,
    /// Time of the interaction, in UTC unless it has an offset; default: now
    #[arg(long, value_name = "TIME")]
    pub(crate) timestamp: Option<Timestamp>,
    /// Store the texts, encrypted if a key is given; default: only their SHA-256 hashes
    #[arg(long)]
    pub(crate) store_content: bool,
    #[command(flatten)]
    pub(crate) anchors: AnchorArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each line is a JSON object with `input` and `output`: text, a list of messages, or other
JSON. Without `output` the call counts as failed. Optional fields: `id`, `provider`,
`model`, `conversation_id`, `safety_passed`, `detectors_triggered`, `block_reason`,
`alerts`, `latency_ms`, `input_tokens`, `output_tokens`, `metadata`, `timestamp`. Lines
of `attestry export` are recorded as they are. Files may be compressed (gzip, zstd).
docs/importing.md lists what is accepted and how it is recorded.

A file can be imported again, after an interruption for instance: nothing is stored
twice. A record without an id of its own gets one that is computed from the record and
its number among identical records of the file.

Numbers must fit 64 bits; write longer ones as text.

An id is printed once its entry is on stable storage, in the order of the lines, also if
it was stored before. Bad lines are reported on standard error as FILE:LINE: REASON, the
first 20 of them; the other lines are recorded, and the exit status is 1. Ctrl-C
completes the current batch and prints its ids. If standard output is closed, the import
continues.

With --format json each line is answered by one line, in the same order, once it is on
stable storage: {\"line\":3,\"id\":\"...\"} or {\"line\":4,\"error\":\"...\"}. Blank
lines have no answer.

Records of other programs are recognised by their fields: LiteLLM (logs in S3, spend
logs), Langfuse, OpenAI's Batch API (import its input, output and error file together),
Bedrock, LangSmith, Azure API Management, and OTLP/JSON of the OpenTelemetry Collector.
What has no field of an entry becomes metadata. docs/importing.md has the details.

Examples:
  attestry import interactions.jsonl
  attestry import --dry-run litellm-logs/             what would become of the fields
  attestry import litellm-logs/ 'AWSLogs/*.json.gz'   folders and patterns
  attestry --key-file audit.key import interactions.jsonl.gz --store-content > ids
  attestry import interactions.jsonl --rejects bad.jsonl    keep refused lines
  my-service | attestry import - --format json
  attestry --store memory: import interactions.jsonl    check the lines, store nothing")]
pub(crate) struct ImportArgs {
    /// Files, folders and patterns to import; `-` reads standard input
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The format of the records; default: recognised for each file
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub(crate) from: SourceFormat,
    /// Print what would become of the fields of all records, and store nothing
    #[arg(long, conflicts_with = "rejects")]
    pub(crate) dry_run: bool,
    /// Store the texts, encrypted if a key is given; default: only their SHA-256 hashes
    #[arg(long)]
    pub(crate) store_content: bool,
    /// Give every record without an id a new one: importing the file again stores it again
    #[arg(long, conflicts_with = "dedupe")]
    pub(crate) new_ids: bool,
    /// Compute ids from the records of standard input, too, as for a file
    #[arg(long)]
    pub(crate) dedupe: bool,
    /// Append refused lines to FILE, and their numbers and reasons to FILE.reasons
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Record negative tokens and latencies, and times before 1970 or more than a day in the future
    #[arg(long)]
    pub(crate) allow_odd: bool,
    /// Store spans and log records that are of something else than a model, too; default: count them
    #[arg(long)]
    unknown_spans: bool,
    /// Output: ids, or one JSON object for each line
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) anchors: AnchorArgs,
}

impl ImportArgs {
    pub(crate) const fn unknown_spans(&self) -> UnknownSpans {
        if self.unknown_spans { UnknownSpans::Keep } else { UnknownSpans::Count }
    }
}
