//! Arguments of the commands that use the Merkle tree of a store.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};

use super::{GraceArgs, PlaceArgs, ReportFormat, TimestampArgs};

/// The signatures that are required.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("log_keys").args(["public_key", "policy"]).multiple(true)),
    group(ArgGroup::new("quorum").args(["witnesses", "policy"])),
)]
pub(crate) struct PolicyArgs {
    /// File with the public key of the log: the .pub file of `attestry key generate --signing`. Repeat it
    /// for several keys of the log; `FILE@FROM..UNTIL` limits a key to checkpoints of more than FROM and at
    /// most UNTIL leaves, and either may be omitted
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Vec<PathBuf>,
    /// Witness: its public key, a file with it, or URL+KEY; may be repeated
    #[arg(long = "witness", value_name = "KEY")]
    pub(crate) witnesses: Vec<String>,
    /// Number of witnesses that must have cosigned; default: all
    #[arg(long, value_name = "NUMBER", requires = "witnesses")]
    pub(crate) witnesses_needed: Option<usize>,
    /// Policy file (C2SP tlog-policy): keys of the log, witnesses, and the quorum of them that must have
    /// cosigned. With --public-key, the keys of the log are those instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["witnesses", "witnesses_needed"])]
    pub(crate) policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Needs --signing-key or ATTESTRY_SIGNING_KEY_FILE, except with --latest or --cosigned.
A store that has entries and no Merkle tree begins with `attestry tree begin`.

Keep checkpoints outside the store: mail them, print them, give them to the auditor.
`attestry verify --since-checkpoint` then finds any later change of an earlier entry.
`log`, `import`, `checkpoint` and `serve` also do that themselves: they ask witnesses to
cosign, timestamp authorities to stamp, and write to other places. `attestry anchors` lists
what each has. The exit status is 1 if one fails; the next command repeats it.

Examples:
  attestry --signing-key signing.key checkpoint > checkpoint-$(date +%F)
  attestry --signing-key signing.key checkpoint --witness https://w.example/+KEY
  attestry --signing-key signing.key checkpoint --tsa http://tsa.example/
  attestry --signing-key signing.key checkpoint --checkpoint-to folder:/mnt/worm
  attestry checkpoint --latest
  attestry checkpoint --cosigned answer --public-key signing.key.pub --witness w.pub")]
pub(crate) struct CheckpointArgs {
    /// Print the latest checkpoint without signing a new one
    #[arg(long, conflicts_with = "cosigned")]
    pub(crate) latest: bool,
    /// Store this checkpoint, to which witnesses have added cosignatures
    #[arg(long, value_name = "FILE", requires_all = ["log_keys", "quorum"])]
    pub(crate) cosigned: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each problem is reported with file, byte offset, entry and kind: altered, missing,
inserted, moved, renamed, still-there (recorded as erased, but present),
false-record, checkpoint, fork (the key signed two histories), stored-hash (of the tree),
evidence-removed, outdated. Other programs may write to the store meanwhile.

Notes name what is no problem by itself, with a count: empty, adopted, not-covered,
unterminated, copied-while-writing, unsigned, unsigned-record, accepted,
future-cosignature, ended-key, foreign-checkpoint, not-verified. With --strict, each is a problem. A monitor should use --strict and
--max-age.

Without --public-key, signatures are not verified: files, tree and checkpoints that
were all rewritten to match are not detected. Without --since-checkpoint, only the
checkpoints in the store are used: a new history signed with the key, or an older copy
of the store, is only detected with a checkpoint that was kept elsewhere.

Calls without an end that started before the grace period are counted and named, as by
`attestry check`.

Examples:
  attestry verify --public-key signing.key.pub
  attestry verify --public-key signing.key.pub --since-checkpoint checkpoint-2026-01-28
  attestry verify --public-key signing.key.pub --strict --max-age 1h
  attestry verify --public-key signing.key.pub --format json | jq '.problems[]'
  attestry verify --public-key signing.key.pub --tsa-ca tsa-root.pem

The exit status is 1 if there are problems. Calls without an end do not change it.")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// Checkpoint that was kept elsewhere; may be repeated
    #[arg(long, value_name = "FILE", requires = "log_keys")]
    pub(crate) since_checkpoint: Vec<PathBuf>,
    /// Greatest age of the newest checkpoint, such as 90s, 15m, 1h or 2d
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) max_age: Option<Duration>,
    #[command(flatten)]
    pub(crate) timestamps: TimestampArgs,
    #[command(flatten)]
    pub(crate) grace: GraceArgs,
    /// Output format
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
}

/// Parses a number with a unit: `90s`, `15m`, `1h`, `2d`.
fn age(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number and one of s, m, h, d, such as 15m".to_owned();
    let unit = text.chars().next_back().ok_or_else(expected)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(expected)
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each record states which leaves were erased, when, by whom and why. `attestry verify`
checks that the records are in the tree, and fit what is gone.

With --public-key, the signature of each record is verified, and the exit status is 1 if
one is missing or not authentic.

Examples:
  attestry erasures
  attestry erasures --public-key signing.key.pub --format json | jq -r '.reason'")]
pub(crate) struct ErasuresArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// Output format; json prints one record a line
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Both checkpoints must be signed with the key of the log. If one has as many leaves as the
other, they alone decide. Otherwise the tree of the store does, or with --proof a
consistency proof (`attestry prove --grown-since`), and no store is needed.

The exit status is 1 if the log was forked: its key has signed two histories, which the
two checkpoints prove to anyone; or if it cannot be decided.

Examples:
  attestry compare ours theirs --public-key signing.key.pub
  attestry compare january february --public-key signing.key.pub --proof growth")]
pub(crate) struct CompareArgs {
    /// File with a checkpoint
    #[arg(value_name = "CHECKPOINT")]
    pub(crate) one: PathBuf,
    /// File with another checkpoint
    #[arg(value_name = "CHECKPOINT")]
    pub(crate) other: PathBuf,
    /// Consistency proof from the smaller to the greater checkpoint
    #[arg(long, value_name = "FILE")]
    pub(crate) proof: Option<PathBuf>,
    /// Output format
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The proof has the format C2SP tlog-proof. It contains the latest checkpoint, or the
latest cosigned checkpoint that covers the entry.

With --grown-since, prints a consistency proof instead: it proves that the log was only
appended to since that checkpoint. It is the body of a request to a witness (C2SP
tlog-witness).

Examples:
  attestry prove 550e8400-e29b-41d4-a716-446655440000 > proof
  attestry get --raw 550e8400-e29b-41d4-a716-446655440000 > entry.json
  attestry verify-proof proof --public-key signing.key.pub entry.json
  attestry prove --grown-since checkpoint --public-key signing.key.pub")]
pub(crate) struct ProveArgs {
    /// Id of the entry
    #[arg(value_name = "ID", required_unless_present = "grown_since")]
    pub(crate) id: Option<String>,
    /// Print a consistency proof from this checkpoint to the latest one
    #[arg(long, value_name = "FILE", requires = "log_keys", conflicts_with = "id")]
    pub(crate) grown_since: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Needs only the three files. docs/evidence.md describes how other programs verify them.

Examples:
  attestry verify-proof proof --public-key signing.key.pub entry.json

The exit status is 1 if the proof is not valid.")]
pub(crate) struct VerifyProofArgs {
    /// File with the inclusion proof
    #[arg(value_name = "PROOF")]
    pub(crate) proof: PathBuf,
    /// File with the stored line of the entry
    #[arg(value_name = "ENTRY")]
    pub(crate) entry: PathBuf,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}
