//! Witnesses, tiles and timestamps against independent Python packages, which need Python 3.12 or later.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ensure, ensure_equal};
use crate::cmd::{Cmd, Result};
use crate::venv::{Package, Venv};
use crate::workspace::{Workspace, emptied};

const PACKAGES: [Package; 3] =
    [("aics-tlog", "0.2.1"), ("aics-witness", "0.1.0"), ("rfc3161-client", "1.0.9")];

/// `run` is a folder for temporary files.
pub(super) fn check(workspace: &Workspace, program: &Path, run: &Path) -> Result<String> {
    let Some(interpreter) = interpreter() else {
        let required = std::env::var_os("ATTESTRY_REQUIRE").is_some_and(|value| value == "all");
        let message = "no Python of 3.12 or later is in PATH or under ~/.pyenv; PYTHON names one";
        return if required { Err(message.into()) } else { Ok(format!("skipped: {message}")) };
    };
    let folder = workspace.target.join("interop").join("venv-anchors");
    let python = Venv::prepare_with(&interpreter, folder, &PACKAGES)?.python();
    let printed = Cmd::new(python)
        .arg("-B")
        .arg(workspace.path("xtask/interop/anchors.py"))
        .arg(program)
        .arg(emptied(run.join("anchors"))?)
        .read()?;
    let found: Value = serde_json::from_str(&printed)?;
    ensure_equal("the leaves that aics-witness cosigned", &3.into(), &found["cosigned"])?;
    ensure_equal("whether it saw the older copy", &true.into(), &found["contradiction"])?;
    let grown = &found["grown"];
    ensure(grown[1].as_u64() > grown[0].as_u64(), || format!("the tiles grew: {grown}"))?;
    let stamped = found["stamped"].as_u64().unwrap_or(0);
    ensure(stamped >= 3, || format!("rfc3161-client accepts {stamped} timestamps"))?;
    Ok(format!(
        "cosigned by aics-witness, which saw an older copy; aics-tlog verified that exported and served tiles grew; \
         rfc3161-client accepts {stamped} timestamps of openssl"
    ))
}

/// An interpreter of 3.12 or later: `PYTHON`, in `PATH`, or one that pyenv installed.
fn interpreter() -> Option<PathBuf> {
    let named = std::env::var_os("PYTHON").map(PathBuf::from);
    let in_path = ["python3", "python3.14", "python3.13", "python3.12"].map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let versions = std::fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten();
    let of_pyenv = versions.flatten().map(|version| version.path().join("bin/python3"));
    named.into_iter().chain(in_path).chain(of_pyenv).find(|python| {
        let check = "import sys; sys.exit(sys.version_info < (3, 12))";
        Cmd::new(python).args(["-c", check]).finish().is_ok_and(|finished| finished.code == Some(0))
    })
}
