//! The `fetch` for Node that records in `attestry serve`, and its tests with real clients.

use crate::cmd::{Cmd, Result};
use crate::workspace::{Profile, Workspace};

const FILES: [&str; 3] = ["attestry.mjs", "package.json", "test.mjs"];

/// Installs the clients under `target/typescript` and runs the tests there.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let folder = workspace.target.join("typescript");
    std::fs::create_dir_all(&folder)?;
    for file in FILES {
        std::fs::copy(workspace.path("bindings/typescript").join(file), folder.join(file))?;
    }
    let install = ["install", "--silent", "--no-package-lock", "--prefix"];
    Cmd::new("npm").args(install).arg(&folder).run()?;
    let attestry = workspace.build_cli(Profile::Dev)?;
    let test = Cmd::new("node").args(["--test", "test.mjs"]).env("ATTESTRY", attestry);
    test.folder(&folder).run()
}
