//! The real package in a virtual environment, and the scripts that use it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cmd::{Cmd, Result};
use crate::venv::{Package, Venv};
use crate::workspace::Workspace;

/// The package whose files and buckets Attestry shares.
pub(crate) const PACKAGE: Package = ("rotalabs-comply", "1.1.0");

/// A Python with the package.
pub(crate) struct Python {
    program: PathBuf,
    scripts: PathBuf,
}

impl Python {
    /// The environment under `target/interop`, created if missing.
    pub(crate) fn prepare(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target.join("interop").join("venv");
        let program = Venv::prepare(folder, &[PACKAGE])?.python();
        Ok(Self { program, scripts: workspace.path("xtask/interop") })
    }

    /// The interpreter.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs a script of `xtask/interop` and returns the JSON it prints.
    pub(super) fn script<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Value> {
        let command = Cmd::new(&self.program)
            // The package calls utcnow(), which is deprecated and warns on each call.
            .args(["-B", "-W", "ignore::DeprecationWarning"])
            .arg(self.scripts.join(name))
            .args(arguments);
        let printed = command.read()?;
        serde_json::from_str(&printed)
            .map_err(|error| format!("`{command}` printed no JSON: {error}").into())
    }
}
