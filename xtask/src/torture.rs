//! The torture tests of the file backend, built and run; `docs/torture.md` says what they do.

use crate::cmd::Result;
use crate::workspace::{Profile, Workspace};

/// Seconds for each of the six tests within `ci`.
const SHORT: &str = "8";

/// The tests named, or all, for as long as they take.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result {
    torture(workspace, Profile::Release, if arguments.is_empty() { &["all"] } else { arguments })
}

/// All of them, a little.
pub(crate) fn short(workspace: &Workspace) -> Result {
    torture(workspace, Profile::Dev, &["all", "--seconds", SHORT])
}

fn torture(workspace: &Workspace, profile: Profile, arguments: &[&str]) -> Result {
    let program = workspace.build_cli(profile)?;
    let mut run = workspace.cargo().args(["run", "--quiet", "--package", "attestry-torture"]);
    if let Profile::Release = profile {
        run = run.arg("--release");
    }
    run.arg("--").args(arguments).arg("--attestry").arg(program).run()
}
