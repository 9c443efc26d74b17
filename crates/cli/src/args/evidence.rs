//! The arguments of the commands about evidence.

use std::path::PathBuf;

use clap::Args;

use super::{CheckFormat, Selection};

/// Whom to believe.
#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// A file with the public key of the log; `attestry key generate --signing` writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
    /// The public key of a witness that must have cosigned, or a file with it; may be repeated
    #[arg(long = "witness", value_name = "KEY|FILE", requires = "public_key")]
    pub(crate) witnesses: Vec<String>,
    /// How many of the witnesses must have; all by default
    #[arg(long, value_name = "NUMBER", requires = "witnesses")]
    pub(crate) witnesses_needed: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Needs --signing-key, or ATTESTRY_SIGNING_KEY_FILE, unless --latest or --cosigned is given.
The first time it takes everything that is in the store for the beginning of its log.

Mail it, print it, commit it elsewhere, give it to the auditor: whoever keeps it can prove
later that nothing before it was changed.

Examples:
  attestry --signing-key signing.key checkpoint > checkpoint-$(date +%F)
  attestry checkpoint --latest
  attestry checkpoint --cosigned answer --public-key signing.key.pub --witness w.pub")]
pub(crate) struct CheckpointArgs {
    /// Print the latest one without signing another
    #[arg(long, conflicts_with = "cosigned")]
    pub(crate) latest: bool,
    /// Store this checkpoint, to which witnesses have added their signatures
    #[arg(long, value_name = "FILE", requires_all = ["public_key", "witnesses"])]
    pub(crate) cosigned: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each problem is named with file, byte, entry and kind: altered, missing, inserted,
moved, still-there (recorded as erased), false-record, checkpoint. It works beside
programs that write.

Without --public-key it only finds what does not fit together: whoever has changed
everything to fit is found by the signature. Without --since-checkpoint it takes the
store's own checkpoints: whoever has the key, or puts an older copy in the store's
place, is found by a checkpoint that was kept elsewhere.

Examples:
  attestry verify --public-key signing.key.pub
  attestry verify --public-key signing.key.pub --since-checkpoint checkpoint-2026-01-28
  attestry verify --public-key signing.key.pub --format json | jq '.problems[]'

The exit status is 1 when there are problems.")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// A checkpoint that was kept elsewhere; may be repeated
    #[arg(long, value_name = "FILE", requires = "public_key")]
    pub(crate) since_checkpoint: Vec<PathBuf>,
    /// How to print the result
    #[arg(long, default_value = "text")]
    pub(crate) format: CheckFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The proof is a file of the format C2SP tlog-proof. It ends in the latest checkpoint, or
the latest cosigned one that covers the entry.

With --grown-since it proves instead that the log only grew since that checkpoint: the
body of a request to a witness (C2SP tlog-witness).

Examples:
  attestry prove 550e8400-e29b-41d4-a716-446655440000 > proof
  attestry get --raw 550e8400-e29b-41d4-a716-446655440000 > entry.json
  attestry verify-proof proof --public-key signing.key.pub entry.json
  attestry prove --grown-since checkpoint --public-key signing.key.pub")]
pub(crate) struct ProveArgs {
    /// The id of the entry
    #[arg(value_name = "ID", required_unless_present = "grown_since")]
    pub(crate) id: Option<String>,
    /// Prove that the log only grew since this checkpoint
    #[arg(long, value_name = "FILE", requires = "public_key", conflicts_with = "id")]
    pub(crate) grown_since: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
It needs nothing but the three files. Other programs can do the same: see
docs/evidence.md.

Examples:
  attestry verify-proof proof --public-key signing.key.pub entry.json

The exit status is 1 when the proof does not hold.")]
pub(crate) struct VerifyProofArgs {
    /// The proof
    #[arg(value_name = "PROOF")]
    pub(crate) proof: PathBuf,
    /// The entry: its line as it is stored
    #[arg(value_name = "ENTRY")]
    pub(crate) entry: PathBuf,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Writes entries.jsonl, each entry as the line it is stored as. With --with-proofs also
proofs/NNNNNNNN.tlog-proof for the entry in that line, counted from 1, and checkpoint,
the latest: all that an auditor needs who has the public key.

Examples:
  attestry export --out for-the-auditor --since 2026-01-01 --with-proofs
  head -1 for-the-auditor/entries.jsonl > entry.json
  attestry verify-proof for-the-auditor/proofs/00000001.tlog-proof \\
      --public-key signing.key.pub entry.json")]
pub(crate) struct ExportArgs {
    /// The folder to make; it must not exist yet
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// A proof for each entry
    #[arg(long)]
    pub(crate) with_proofs: bool,
    #[command(flatten)]
    pub(crate) selection: Selection,
}
