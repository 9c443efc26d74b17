//! Arguments of `attestry tree`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum TreeCommand {
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
}
