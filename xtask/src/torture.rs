//! Builds and runs the torture tests of the file backend; `docs/torture.md` describes them.

use crate::cmd::{Cmd, Result};
use crate::workspace::{Profile, Workspace};

/// Seconds per test within `ci`.
const SHORT: &str = "8";

/// Runs all or the named tests.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result {
    match arguments {
        ["interleavings"] => interleavings(workspace, "1"),
        ["interleavings", "--times", times] => interleavings(workspace, times),
        ["interleavings", ..] => Err("interleavings takes --times N and nothing else".into()),
        [] => {
            interleavings(workspace, "10")?;
            torture(workspace, Profile::Release, &["all"])
        }
        named => torture(workspace, Profile::Release, named),
    }
}

/// All tests, each for seconds.
pub(crate) fn short(workspace: &Workspace) -> Result {
    interleavings(workspace, "1")?;
    torture(workspace, Profile::Dev, &["all", "--seconds", SHORT])
}

fn torture(workspace: &Workspace, profile: Profile, arguments: &[&str]) -> Result {
    let program = workspace.build_cli(profile)?;
    let torture = workspace.build_torture(profile)?;
    Cmd::new(torture)
        .named("torture")
        .folder(&workspace.root)
        .args(arguments)
        .arg("--attestry")
        .arg(program)
        .run()
}

/// Runs the log writer under shuttle, which explores orders of events, with `times` the default number of orders. Only the
/// writer's own crate is compiled with the flag, so that its dependencies are those of its other tests.
fn interleavings(workspace: &Workspace, times: &str) -> Result {
    if times.parse::<u32>().is_err() {
        return Err(format!("--times takes a number, not {times:?}").into());
    }
    Cmd::new(workspace.build_unit_tests_with("shuttle", "attestry-file")?)
        .named("attestry-file under shuttle")
        .args(["--quiet", "interleavings"])
        .folder(&workspace.path("crates/file"))
        .env("ATTESTRY_INTERLEAVINGS", times)
        .run()
}
