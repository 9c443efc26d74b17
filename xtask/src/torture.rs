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

/// Runs the log writer under shuttle, which explores orders of events, with `times` the default number of orders. Uses a
/// target folder of its own, because the flag changes every build.
fn interleavings(workspace: &Workspace, times: &str) -> Result {
    if times.parse::<u32>().is_err() {
        return Err(format!("--times takes a number, not {times:?}").into());
    }
    workspace
        .cargo()
        .args(["test", "--quiet", "--package", "attestry-file", "--lib", "interleavings"])
        .env("RUSTFLAGS", "--cfg shuttle")
        .env("ATTESTRY_INTERLEAVINGS", times)
        .env("CARGO_TARGET_DIR", workspace.target.join("interleavings"))
        .run()
}
