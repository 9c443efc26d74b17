//! What is left to repair in the files of a store.

use attestry::AuditLogger;
use attestry::file::FileStorage;

use super::problems::{Problem, Problems};
use crate::errors::Failure;
use crate::output::Stdout;

/// Reports what the store could not finish. Stores that are not files have nothing to report.
pub(super) fn report(
    logger: &AuditLogger,
    problems: &mut Problems,
    out: &mut Stdout,
) -> Result<(), Failure> {
    let backend = logger.storage().as_any();
    let Some(files) = backend.and_then(|backend| backend.downcast_ref::<FileStorage>()) else {
        return Ok(());
    };
    for unfinished in files.recovery().unfinished {
        let location = unfinished.path.display().to_string();
        problems
            .add(Problem { kind: "unfinished", location, reason: unfinished.to_string() }, out)?;
    }
    Ok(())
}
