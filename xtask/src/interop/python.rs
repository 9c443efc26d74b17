//! The real package in a virtual environment, and our scripts that use it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cmd::{Cmd, Result};
use crate::workspace::Workspace;

const PACKAGE: &str = "rotalabs-comply";
const VERSION: &str = "1.1.0";

/// A Python that has the package.
pub(crate) struct Python {
    program: PathBuf,
    scripts: PathBuf,
}

impl Python {
    /// The environment under `target/interop`, made where it is not there yet.
    pub(crate) fn prepare(workspace: &Workspace) -> Result<Self> {
        let venv = workspace.target.join("interop").join("venv");
        let program = venv.join("bin").join("python");
        let installed = Cmd::new(&program)
            .args(["-c", &format!("import importlib.metadata as m; print(m.version({PACKAGE:?}))")])
            .read();
        if !installed.is_ok_and(|version| version.trim() == VERSION) {
            let system = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
            Cmd::new(system).args(["-m", "venv", "--clear"]).arg(&venv).run().map_err(|error| {
                format!(
                    "{error}\n\nThis needs Python 3.9 or later with its venv module (a package \
                     python3-venv on Debian); PYTHON names another interpreter than python3."
                )
            })?;
            let package = format!("{PACKAGE}=={VERSION}");
            Cmd::new(&program).args(["-m", "pip", "install", "--quiet", &package]).run()?;
        }
        Ok(Self { program, scripts: workspace.path("xtask/interop") })
    }

    /// The interpreter that has the package.
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
            // The package's use of utcnow() is announced as outdated at every call.
            .args(["-B", "-W", "ignore::DeprecationWarning"])
            .arg(self.scripts.join(name))
            .args(arguments);
        let printed = command.read()?;
        serde_json::from_str(&printed)
            .map_err(|error| format!("`{command}` printed no JSON: {error}").into())
    }
}
