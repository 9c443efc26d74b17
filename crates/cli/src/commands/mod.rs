//! One module per command, each with a function `run`.

#[cfg(feature = "serve")]
mod access;
mod anchors;
mod backup;
mod check;
mod checkpoint;
mod cleanup;
mod compact;
mod compare;
mod completions;
mod count;
mod delete;
mod erasures;
mod export;
mod get;
mod import;
mod key;
mod list;
mod log;
mod open_calls;
mod prove;
mod quarantine;
mod reconcile;
mod search;
mod selected;
#[cfg(feature = "serve")]
mod serve;
mod show;
mod stats;
#[cfg(feature = "serve")]
mod token;
mod tree;
mod verify;
mod verify_proof;
#[cfg(feature = "serve")]
mod view;

use attestry::line::MAX_LINE_BYTES;
use attestry::{AuditError, AuditLogger, EntryId, Query, StorageError};
use futures_util::{Stream, StreamExt};

use crate::args::{Cli, Command};
use crate::errors::{Failure, Status, with_sources};
use crate::output::Stdout;
use crate::text::{escaped, stderr_line};

pub(crate) async fn run(cli: Cli, out: &mut Stdout) -> Result<Status, Failure> {
    let store = &cli.store;
    let status = match cli.command {
        Command::Log(args) => log::run(*args, store, out).await,
        Command::Import(args) => import::run(args, store, out).await,
        Command::Get(args) => get::run(args, store, out).await,
        Command::List(args) => list::run(args, store, out).await,
        Command::Show(args) => show::run(args, store, out).await,
        Command::Search(args) => search::run(args, store, out).await,
        Command::Count(args) => count::run(args, store, out).await,
        Command::Delete(args) => delete::run(args, store, out).await,
        Command::Cleanup(args) => cleanup::run(args, store, out).await,
        Command::Compact => compact::run(store, out).await,
        Command::Backup(args) => backup::run(args, store, out).await,
        Command::Quarantine(command) => quarantine::run(command, store, out).await,
        Command::Stats(args) => stats::run(args, store, out).await,
        Command::Check(args) => check::run(args, store, out).await,
        Command::Checkpoint(args) => checkpoint::run(args, store, out).await,
        Command::Anchors(args) => anchors::run(args, store, out).await,
        Command::Verify(args) => verify::run(args, store, out).await,
        Command::Prove(args) => prove::run(args, store, out).await,
        Command::VerifyProof(args) => verify_proof::run(&args, out),
        Command::Erasures(args) => erasures::run(args, store, out).await,
        Command::Compare(args) => compare::run(args, store, out).await,
        Command::Tree(command) => tree::run(command, store, out).await,
        Command::Reconcile(args) => reconcile::run(args, store, out).await,
        Command::Export(args) => export::run(args, store).await,
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(*args, store).await,
        #[cfg(feature = "serve")]
        Command::View(args) => view::run(args, store, out).await,
        #[cfg(feature = "serve")]
        Command::Access(command) => access::run(command, store, out).await,
        #[cfg(feature = "serve")]
        Command::Token(command) => token::run(command, out),
        Command::Key(command) => key::run(command),
        Command::Completions(args) => completions::run(&args, out),
    }?;
    Ok(status.and(store.strict_status()))
}

/// Passes each record to `handle`. Corrupt records are reported on standard error and result in
/// [`Status::Problems`].
async fn for_each<T>(
    mut records: impl Stream<Item = Result<T, StorageError>> + Unpin,
    mut handle: impl FnMut(&T) -> Result<(), Failure>,
) -> Result<Status, Failure> {
    let mut status = Status::Success;
    while let Some(record) = records.next().await {
        if let Some(record) = readable(record, &mut status)? {
            handle(&record)?;
        }
    }
    Ok(status)
}

/// The record, unless it is corrupt: then it is reported on standard error.
fn readable<T>(record: Result<T, StorageError>, status: &mut Status) -> Result<Option<T>, Failure> {
    match record {
        Ok(record) => Ok(Some(record)),
        Err(StorageError::Corrupt(record)) => {
            stderr_line(escaped(&record.to_string()));
            *status = Status::Problems;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Reports that the content of an entry cannot be decrypted or does not match its hash. Other entries
/// follow; a key that is missing altogether ends the command.
fn undecrypted(id: &EntryId, error: AuditError) -> Result<Status, Failure> {
    match error {
        AuditError::NoEncryption | AuditError::Storage(_) => Err(error.into()),
        error => {
            stderr_line(escaped(&format!("entry {id}: {}", with_sources(&error))));
            Ok(Status::Problems)
        }
    }
}

/// Counts the entries that `query` selects.
async fn count(logger: &AuditLogger, query: Query) -> Result<(u64, Status), Failure> {
    let mut count = 0;
    let status = for_each(logger.query(query), |_| {
        count += 1;
        Ok(())
    })
    .await?;
    Ok((count, status))
}

/// Reports that no entry has the id `id`.
fn not_found(id: &EntryId) -> Status {
    stderr_line(format_args!("there is no entry with the id {}", escaped(id.as_str())));
    Status::Problems
}

/// The reason why a line of `length` bytes is bad.
fn too_long(length: u64) -> String {
    format!("the line has {length} bytes; at most {MAX_LINE_BYTES} are allowed")
}

/// Whether standard output is still open. For commands that continue after it is closed.
fn is_open(printed: Result<(), Failure>) -> Result<bool, Failure> {
    match printed {
        Ok(()) => Ok(true),
        Err(failure) if failure.is_broken_pipe() => Ok(false),
        Err(failure) => Err(failure),
    }
}
