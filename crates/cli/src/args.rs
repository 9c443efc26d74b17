//! Command-line arguments.

#[cfg(feature = "serve")]
mod access;
mod anchor;
mod evidence;
mod find;
mod groups;
mod maintain;
mod quarantine;
mod reconcile;
mod record;
mod selection;
#[cfg(feature = "serve")]
mod serve;
mod tree;
mod values;
#[cfg(feature = "serve")]
mod view;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

#[cfg(feature = "serve")]
pub(crate) use self::access::{
    AccessCleanupArgs, AccessCommand, AccessListArgs, AccessLogArgs, AccessVerifyArgs,
};
pub(crate) use self::anchor::{AnchorArgs, AnchorsArgs, PlaceArgs, TimestampArgs};
pub(crate) use self::evidence::{
    CheckpointArgs, CompareArgs, ErasuresArgs, PolicyArgs, ProveArgs, VerifyArgs, VerifyProofArgs,
};
pub(crate) use self::find::{
    CountArgs, ExportArgs, GetArgs, ListArgs, SearchArgs, ShowArgs, StatsArgs,
};
pub(crate) use self::maintain::{
    BackupArgs, CheckArgs, CleanupArgs, DeleteArgs, ErasureArgs, GraceArgs,
};
pub(crate) use self::quarantine::{
    QuarantineCommand, QuarantineListArgs, QuarantineRemoveArgs, QuarantineShowArgs,
};
pub(crate) use self::reconcile::ReconcileArgs;
pub(crate) use self::record::{ImportArgs, LogArgs};
pub(crate) use self::selection::{Filters, PhaseArgs, Selection, ZoneArgs};
#[cfg(feature = "serve")]
pub(crate) use self::serve::{
    LimitArgs, LogFormat, LogLevel, LogsArgs, NewTokenArgs, ServeArgs, TokenCommand,
};
pub(crate) use self::tree::TreeCommand;
pub(crate) use self::values::{
    CallPhase, ListFormat, Outcome, ReportFormat, Safety, SearchFormat, StatsFormat,
};
#[cfg(feature = "serve")]
pub(crate) use self::view::ViewArgs;

/// Audit log for AI systems: record interactions with models, list, verify and erase them
#[derive(Debug, Parser)]
#[command(name = "attestry", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses the arguments of the process.
    pub(crate) fn from_process() -> Result<Self, clap::Error> {
        let program = Self::command();
        #[cfg(feature = "serve")]
        let program = crate::config::apply(program, std::env::args_os())?;
        let mut program = groups::grouped(program);
        let mut matches = program.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut program))
    }
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
  ATTESTRY_HASH_KEY_FILE
                     default of --hash-key-file
  ATTESTRY_SIGNING_KEY_FILE
                     default of --signing-key
  ATTESTRY_ERASURE_KEY_FILE
                     default of --erasure-key
  ATTESTRY_STATE     default of --state

Exit status:
  0  success
  1  an entry was not found, or problems were found
  2  wrong usage or failure; entries that were acknowledged are stored

`attestry COMMAND --help` has examples of each command.";

/// The store and its keys.
#[derive(Debug, Clone, Args)]
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

    /// File with a secret for content hashes: HMAC-SHA-256 instead of SHA-256, so that a guessed text
    /// cannot be confirmed without it. At least 16 bytes; `attestry key generate` creates such a file.
    /// Keep it: without it, content cannot be compared with its hashes
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ATTESTRY_HASH_KEY_FILE",
        hide_env_values = true,
        help_heading = "Store"
    )]
    pub(crate) hash_key_file: Option<PathBuf>,

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

    /// File with the key that signs erasure records, if it is not the signing key: that of a data
    /// protection officer, for example. See `attestry tree allow-erasure`
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ATTESTRY_ERASURE_KEY_FILE",
        hide_env_values = true,
        help_heading = "Store"
    )]
    pub(crate) erasure_key: Option<PathBuf>,

    /// File in which the signer remembers its last checkpoint of each log, outside the store; default:
    /// $XDG_STATE_HOME/attestry/signed-checkpoints, or ~/.local/state/attestry/signed-checkpoints. It
    /// refuses to sign what does not extend that; see `attestry tree accept`
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ATTESTRY_STATE",
        hide_env_values = true,
        help_heading = "Store"
    )]
    pub(crate) state: Option<PathBuf>,

    /// Exit with status 1 if a checkpoint cannot be signed; in `attestry verify`, also for what is
    /// only a note otherwise
    #[arg(long, global = true, help_heading = "Store")]
    pub(crate) strict: bool,

    /// Whether something could not be signed.
    #[arg(skip)]
    pub(crate) unsigned: Arc<AtomicBool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record one interaction and print the id of its entry
    Log(Box<LogArgs>),
    /// Record the interactions of a JSON Lines file and print the ids of their entries
    Import(ImportArgs),
    /// Print entries by id as they are stored: lines of JSON
    Get(GetArgs),
    /// List entries as a table, JSON lines or CSV, with filters
    List(ListArgs),
    /// Print a conversation or an entry as readable turns, decrypted if the key is given
    Show(ShowArgs),
    /// Find the entries that contain a text, decrypted if the key is given
    Search(SearchArgs),
    /// Print the number of entries
    Count(CountArgs),
    /// Erase entries by id or by conditions
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
    /// Copy the store to a new folder while programs write to it
    Backup(BackupArgs),
    /// List, show and remove torn lines in quarantine
    ///
    /// A line that a crash cut short is moved to quarantine when the store is opened for writing. It was
    /// not acknowledged, but it may contain content.
    #[command(
        subcommand,
        after_help = "\
`attestry delete` removes the torn lines of an entry as well, and `attestry cleanup` those
that have expired: by the time in the line, or if that is torn, by the age of the file.

Examples:
  attestry quarantine list
  attestry quarantine show audit_20260128.jsonl.51200.0.torn
  attestry quarantine remove audit_20260128.jsonl.51200.0.torn"
    )]
    Quarantine(QuarantineCommand),
    /// Summarise entries in groups: by provider and model, by day, by user
    Stats(StatsArgs),
    /// Check the records, like fsck: find corrupt records, duplicate ids, wrong content hashes
    ///
    /// Reads every entry and reports records that cannot be read, ids that occur more than once, and
    /// stored content that does not match its hash. Works with every store and changes no entry. A file
    /// store's indexes are compared with the entries, and wrong ones are replaced.
    ///
    /// This finds damage. To find tampering, use `attestry verify`: it compares the entries with the
    /// Merkle tree and with signed checkpoints.
    Check(CheckArgs),
    /// Compare the entries with another record of the same calls: find calls that were not recorded
    Reconcile(ReconcileArgs),
    /// Sign a checkpoint of the Merkle tree and print it
    Checkpoint(CheckpointArgs),
    /// Verify the entries against the Merkle tree and signed checkpoints: find tampering
    ///
    /// Finds entries that were altered, removed, inserted or moved, also by an attacker with write
    /// access to the files. Needs a store that was written with --signing-key.
    ///
    /// To find damage such as corrupt records, or to check a store without a tree, use `attestry check`.
    Verify(VerifyArgs),
    /// List where checkpoints have been handed over to, and failures
    Anchors(AnchorsArgs),
    /// Print the inclusion proof of an entry, or a consistency proof of the log
    Prove(ProveArgs),
    /// Verify an inclusion proof without access to the store
    VerifyProof(VerifyProofArgs),
    /// List the erasure records: what was erased when, by whom, why and with which key
    Erasures(ErasuresArgs),
    /// Compare two checkpoints of a log: has it grown, or was it forked?
    Compare(CompareArgs),
    /// Begin, accept and repair the Merkle tree, and change its keys
    #[command(subcommand)]
    Tree(TreeCommand),
    /// Copy entries to a new folder, with inclusion proofs if requested
    Export(ExportArgs),
    /// Serve the store over HTTP, so that programs in any language record and query
    #[cfg(feature = "serve")]
    Serve(Box<ServeArgs>),
    /// Look at the store in a browser
    #[cfg(feature = "serve")]
    View(ViewArgs),
    /// List and verify the access log of `attestry serve`
    #[cfg(feature = "serve")]
    #[command(subcommand)]
    Access(AccessCommand),
    /// Create tokens for `attestry serve`
    #[cfg(feature = "serve")]
    #[command(subcommand)]
    Token(TokenCommand),
    /// Create keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
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
  attestry --signing-key signing.key checkpoint
  attestry key generate --signing --name example.com/dpo --out erasure.key")]
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

    #[cfg(feature = "serve")]
    #[test]
    fn every_option_of_the_server_has_an_environment_variable() {
        let program = Cli::command();
        let serve = program.find_subcommand("serve").unwrap();
        for option in serve.get_arguments().filter_map(|option| Some((option.get_long()?, option)))
        {
            let (name, option) = option;
            if ["help", "check-config"].contains(&name) {
                continue;
            }
            let expected = format!("ATTESTRY_SERVE_{}", name.replace('-', "_").to_uppercase());
            let variable = option.get_env().map(|variable| variable.to_string_lossy().into_owned());
            assert_eq!(variable.as_deref(), Some(&*expected));
        }
    }
}
