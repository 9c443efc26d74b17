//! What is left to repair in the files of a store, and indexes that differ from their segment.

use attestry::AuditLogger;
use attestry::file::FileStorage;

use super::problems::{Problem, Problems};
use crate::args::StoreArgs;
use crate::errors::Failure;
use crate::output::Stdout;
use crate::store::Settings;

/// Reports what the store could not finish, and repairs indexes. Stores that are not files have nothing to
/// report.
pub(super) async fn report(
    logger: &AuditLogger,
    store: &StoreArgs,
    problems: &mut Problems,
    out: &mut Stdout,
) -> Result<(), Failure> {
    let Some(files) = files_of(logger) else { return Ok(()) };
    for unfinished in files.unfinished().await? {
        let location = unfinished.path.display().to_string();
        problems
            .add(Problem { kind: "unfinished", location, reason: unfinished.to_string() }, out)?;
    }
    let differing = files.check_indexes().await?;
    if differing.is_empty() {
        return Ok(());
    }
    let outcome = match replace_indexes(store).await {
        Ok(()) => "it was made again".to_owned(),
        Err(failure) => format!("it could not be replaced: {}", failure.message()),
    };
    for path in differing {
        let location = path.display().to_string();
        let reason = format!("its index differed from it; {outcome}");
        problems.add(Problem { kind: "index", location, reason }, out)?;
    }
    Ok(())
}

fn files_of(logger: &AuditLogger) -> Option<&FileStorage> {
    logger.storage().as_any()?.downcast_ref()
}

/// Opens the store for writing, which replaces stale index files, and then those that look current.
async fn replace_indexes(store: &StoreArgs) -> Result<(), Failure> {
    let logger = store.open_existing(Settings::default()).await?;
    if let Some(files) = files_of(&logger) {
        files.check_indexes().await?;
    }
    Ok(logger.close().await?)
}
