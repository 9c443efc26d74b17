//! Arguments of `attestry tree`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum TreeCommand {
    /// Begin the Merkle tree over the entries that exist already, and print its first checkpoint
    #[command(after_help = "\
A new store begins by itself when the first entry is recorded with --signing-key. Over
entries that exist already, evidence begins with this command only. Nothing is proven
about the time before; the tree states that in a signed record.

If the store had a tree before, find out first where it went: restore the folder
.attestry from a backup.

Examples:
  attestry --signing-key signing.key tree begin > checkpoint")]
    Begin,
    /// Sign the tree although it is not what the signer remembers, and put the reason on record
    #[command(after_help = "\
The signer refuses a tree that does not extend its last checkpoint: the store was altered,
cut short or replaced, or an older backup was restored. It also refuses records of
erasures that are not signed by a key of the log. `attestry verify --since-checkpoint`,
with a checkpoint that was kept elsewhere, says what has changed.

This command signs it all the same. The reason becomes a signed record in the tree.
Checkpoints that were kept elsewhere stay contradicted.

Examples:
  attestry --signing-key signing.key tree accept --reason 'restored the backup of 1 May'")]
    Accept(TreeReasonArgs),
    /// Replace the key that signs the log by a new one of the same name
    #[command(after_help = "\
The old key is --signing-key. Both keys sign a record in the tree, and the new one signs a
checkpoint, which is printed. Verifiers that have either public key accept the other one
for its part of the log. Restart the programs that sign with the old key.

If the old key was compromised, end it as well: `attestry tree end-key`.

Examples:
  attestry key generate --signing --name example.com/audit --out new.key
  attestry --signing-key old.key tree rotate --new-key new.key > checkpoint")]
    Rotate(TreeRotateArgs),
    /// Authorise another key to sign erasures, such as that of a data protection officer
    #[command(after_help = "\
Examples:
  attestry key generate --signing --name example.com/dpo --out erasure.key
  attestry --signing-key signing.key tree allow-erasure erasure.key.pub
  attestry --erasure-key erasure.key delete --reason 'request 4711' ID")]
    AllowErasure(TreeKeyArgs),
    /// State that a former key of the log, or an erasure key, counts no more
    #[command(after_help = "\
Its signatures on checkpoints of more leaves, and on records behind them, do not count.
The key of the log itself is replaced first: `attestry tree rotate`.

Examples:
  attestry --signing-key signing.key tree end-key erasure.key.pub --reason 'left'
  attestry --signing-key new.key tree end-key old.key.pub --at-size 51200 --reason stolen")]
    EndKey(TreeEndKeyArgs),
    /// Repair the Merkle tree of a folder
    #[command(after_help = "\
Repairs everything but the leaf hashes: the upper levels of the tree, the map of leaves
to segments, and the tree head. They follow from the leaf hashes and the lines. All
checkpoints stay valid. Nothing is changed if the leaf hashes do not match the latest
checkpoint. Takes about 100 bytes of memory for each line that was ever written. Stop
the programs that write to the store before.

If the leaf hashes themselves are damaged, --start-over moves the tree and its
checkpoints aside, into .attestry, and begins a new tree with the lines that are
there. The price: nothing is proven any more about the time before. What was altered
or removed until then, and which erasures had a record, can be shown with the old
files only, as far as they can be read, and checkpoints that were kept elsewhere do
not match the new tree. Keep the folders that were moved, and tell those that keep
checkpoints.

Examples:
  attestry tree rebuild
  attestry --signing-key signing.key tree rebuild --start-over")]
    Rebuild(TreeRebuildArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TreeRebuildArgs {
    /// Begin a new tree, which proves nothing about the time before. Needs --signing-key
    #[arg(long)]
    pub(crate) start_over: bool,
    /// Reason that is put on record with --start-over
    #[arg(long, value_name = "TEXT", requires = "start_over", default_value = "started over")]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct TreeReasonArgs {
    /// Reason, which is put on record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Name on record; default: the current user
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TreeRotateArgs {
    /// File with the new signing key
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct TreeKeyArgs {
    /// File with the public key: a .pub file of `attestry key generate --signing`
    #[arg(value_name = "FILE")]
    pub(crate) key: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct TreeEndKeyArgs {
    /// File with the public key
    #[arg(value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Last number of leaves for which it counts; default: all leaves so far
    #[arg(long, value_name = "NUMBER")]
    pub(crate) at_size: Option<u64>,
    #[command(flatten)]
    pub(crate) why: TreeReasonArgs,
}
