//! Virtual environments for Python packages.

use std::path::{Path, PathBuf};

use crate::cmd::{Cmd, Result};

/// A PyPI package and its version.
pub(crate) type Package = (&'static str, &'static str);

/// A virtual environment.
#[derive(Debug, Clone)]
pub(crate) struct Venv {
    folder: PathBuf,
}

impl Venv {
    /// The environment in `folder` with these packages, created if missing.
    pub(crate) fn prepare(folder: PathBuf, packages: &[Package]) -> Result<Self> {
        let system = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        Self::prepare_with(Path::new(&system), folder, packages)
    }

    /// The same, of this interpreter.
    pub(crate) fn prepare_with(
        interpreter: &Path,
        folder: PathBuf,
        packages: &[Package],
    ) -> Result<Self> {
        let venv = Self { folder };
        let wanted: Vec<String> =
            packages.iter().map(|(name, version)| format!("{name}=={version}")).collect();
        if venv.installed(packages).is_some_and(|installed| installed == wanted) {
            return Ok(venv);
        }
        Cmd::new(interpreter).args(["-m", "venv", "--clear"]).arg(&venv.folder).run().map_err(
            |error| {
                format!(
                    "{error}\n\nThis needs Python 3.9 or later with its venv module (a package \
                     python3-venv on Debian); PYTHON names another interpreter than python3."
                )
            },
        )?;
        // Compiling all modules takes minutes; those that are imported are compiled then.
        let install = ["-m", "pip", "install", "--quiet", "--no-compile"];
        Cmd::new(venv.python()).args(install).args(&wanted).run()?;
        Ok(venv)
    }

    /// The installed versions, if all packages are installed.
    fn installed(&self, packages: &[Package]) -> Option<Vec<String>> {
        let names: Vec<&str> = packages.iter().map(|(name, _)| *name).collect();
        let script = format!(
            "import importlib.metadata as m\nfor n in {names:?}: print(n+'=='+m.version(n))"
        );
        let printed = Cmd::new(self.python()).args(["-c", &script]).read().ok()?;
        Some(printed.lines().map(str::to_owned).collect())
    }

    /// The interpreter.
    pub(crate) fn python(&self) -> PathBuf {
        self.program("python")
    }

    /// A program of one of the packages.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }
}
