//! The torture tests of the file backend, built and run; `docs/torture.md` says what they do.

use crate::cmd::{Cmd, Result};
use crate::workspace::{Profile, Workspace};

/// Seconds for each of the six tests within `ci`.
const SHORT: &str = "8";

/// The tests named, or all, for as long as they take.
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

/// All of them, a little.
pub(crate) fn short(workspace: &Workspace) -> Result {
    interleavings(workspace, "1")?;
    torture(workspace, Profile::Dev, &["all", "--seconds", SHORT])
}

fn torture(workspace: &Workspace, profile: Profile, arguments: &[&str]) -> Result {
    let program = workspace.build_cli(profile)?;
    let torture = match profile {
        Profile::Dev if workspace.tested.get() => workspace.built_for_test("program", "torture")?,
        _ => workspace.build_program(&["attestry-torture"], "torture", profile)?,
    };
    Cmd::new(torture)
        .named("torture")
        .folder(&workspace.root)
        .args(arguments)
        .arg("--attestry")
        .arg(program)
        .run()
}

/// The committer under a scheduler that chooses the order of events, `times` as many orders as
/// usual. In a folder of its own: the flag makes cargo build everything anew.
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
