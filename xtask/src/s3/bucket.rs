//! Our Python scripts that work on a bucket.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde_json::Value;

use super::server::Server;
use crate::cmd::{Cmd, Result};
use crate::venv::Venv;
use crate::workspace::Workspace;

/// Scripts of `xtask/interop`, run where the Python package finds the server.
pub(super) struct Scripts<'a> {
    python: PathBuf,
    folder: PathBuf,
    server: &'a Server,
}

impl<'a> Scripts<'a> {
    pub(super) fn new(workspace: &Workspace, venv: &Venv, server: &'a Server) -> Self {
        Self { python: venv.python(), folder: workspace.path("xtask/interop"), server }
    }

    /// Makes the buckets; waits for the server to take a write.
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
            // The package's use of utcnow() is announced as outdated at every call.
            .args(["-B", "-W", "ignore"])
            .arg(self.folder.join(name))
            .args(arguments);
        self.server.reach(command)
    }

    /// Runs a script and returns the JSON it prints.
    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Value> {
        let command = self.command(name, arguments);
        let printed = command.read()?;
        serde_json::from_str(&printed)
            .map_err(|error| format!("`{command}` printed no JSON: {error}").into())
    }
}
