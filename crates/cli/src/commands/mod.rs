//! One module per command, each with a `run` that does it.

mod check;
mod checkpoint;
mod cleanup;
mod compact;
mod completions;
mod count;
mod delete;
mod export;
mod get;
mod import;
mod key;
mod list;
mod log;
mod prove;
mod recorded;
mod stats;
mod verify;
mod verify_proof;

use attestry::line::MAX_LINE_BYTES;
use attestry::{EntryId, Interaction, StorageError};
use futures_util::{Stream, StreamExt};

use crate::args::{Cli, Command};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::text::{complain, escaped};

pub(crate) async fn run(cli: Cli, out: &mut Stdout) -> Result<Status, Failure> {
    let store = &cli.store;
    match cli.command {
        Command::Log(args) => log::run(*args, store, out).await,
        Command::Import(args) => import::run(args, store, out).await,
        Command::Get(args) => get::run(args, store, out).await,
        Command::List(args) => list::run(args, store, out).await,
        Command::Count(args) => count::run(args, store, out).await,
        Command::Delete(args) => delete::run(args, store, out).await,
        Command::Cleanup(args) => cleanup::run(args, store, out).await,
        Command::Compact => compact::run(store, out).await,
        Command::Stats(args) => stats::run(args, store, out).await,
        Command::Check(args) => check::run(args, store, out).await,
        Command::Checkpoint(args) => checkpoint::run(args, store, out).await,
        Command::Verify(args) => verify::run(args, store, out).await,
        Command::Prove(args) => prove::run(args, store, out).await,
        Command::VerifyProof(args) => verify_proof::run(&args, out),
        Command::Export(args) => export::run(args, store).await,
        Command::Key(command) => key::run(command),
        Command::Completions(args) => completions::run(&args, out),
    }
}

/// Hands each record to `take`. Records that cannot be read are named on the standard error and
/// make the status [`Status::Problems`].
async fn each<T>(
    mut records: impl Stream<Item = Result<T, StorageError>> + Unpin,
    mut take: impl FnMut(&T) -> Result<(), Failure>,
) -> Result<Status, Failure> {
    let mut status = Status::Done;
    while let Some(record) = records.next().await {
        match record {
            Ok(record) => take(&record)?,
            Err(StorageError::Corrupt(record)) => {
                complain(format_args!("{}", escaped(&record.to_string())));
                status = Status::Problems;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(status)
}

/// The id that `text` is. Checked before the store is opened, so that a wrong one is told as such.
fn entry_id(text: &str) -> Result<EntryId, Failure> {
    EntryId::new(text).map_err(|error| {
        Failure::new(format!("{text:?} is not the id of an entry")).caused_by(error)
    })
}

/// The interaction that `line`, without white space around it, holds.
fn interaction(line: &[u8]) -> Result<Interaction<'static>, String> {
    Interaction::from_json(line).map_err(|error| error.to_string())
}

/// Why a line of so many bytes is not taken.
fn too_long(length: u64) -> String {
    format!("the line has {length} bytes; at most {MAX_LINE_BYTES} are allowed")
}

/// Whether what was printed is still read by someone; for commands that have more to do than to
/// print.
fn shown(printed: Result<(), Failure>) -> Result<bool, Failure> {
    match printed {
        Ok(()) => Ok(true),
        Err(failure) if failure.is_broken_pipe() => Ok(false),
        Err(failure) => Err(failure),
    }
}
