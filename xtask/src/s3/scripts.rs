//! Python scripts that work on a bucket.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde_json::Value;

use super::seaweedfs::SeaweedFs;
use crate::cmd::{Cmd, Result};
use crate::venv::Venv;
use crate::workspace::Workspace;

/// The scripts in `xtask/interop`, run with the Python package and the endpoint of the server.
pub(super) struct Scripts<'a> {
    python: PathBuf,
    folder: PathBuf,
    server: &'a SeaweedFs,
}

impl<'a> Scripts<'a> {
    pub(super) fn new(workspace: &Workspace, venv: &Venv, server: &'a SeaweedFs) -> Self {
        Self { python: venv.python(), folder: workspace.path("xtask/interop"), server }
    }

    /// Creates the buckets, and waits until the server accepts writes.
    pub(super) fn make_buckets(&self, buckets: &[&str]) -> Result {
        self.run("make_buckets.py", buckets).map(drop)
    }

    /// The command that runs a script.
    pub(super) fn command<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Cmd {
        let command = Cmd::new(&self.python)
            // Without warnings: the package calls the deprecated `utcnow()`.
            .args(["-B", "-W", "ignore"])
            .arg(self.folder.join(name))
            .args(arguments);
        self.server.configure(command)
    }

    /// Runs a script and parses the JSON that it prints.
    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Value> {
        let command = self.command(name, arguments);
        let printed = command.read()?;
        serde_json::from_str(&printed)
            .map_err(|error| format!("`{command}` printed invalid JSON: {error}").into())
    }
}
