//! The workspace, from `cargo metadata`.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cmd::{Cmd, Result};

/// The workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// The target folder, also for tools and runs.
    pub(crate) target: PathBuf,
    /// The crates of the workspace.
    pub(crate) packages: Vec<Package>,
    /// Whether all tests and programs were just built with all features.
    pub(crate) tested: Cell<bool>,
}

/// One crate of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Whether it is published.
    pub(crate) published: bool,
    /// Its features except `default`, including those of optional dependencies.
    pub(crate) features: Vec<String>,
    /// The features that `default` enables directly.
    pub(crate) default_features: Vec<String>,
    /// Its dependencies.
    pub(crate) dependencies: Vec<Dependency>,
    /// Its folder.
    folder: PathBuf,
}

/// A dependency of a crate.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The name of the package.
    pub(crate) name: String,
    /// A dev-dependency.
    pub(crate) dev: bool,
    /// An optional dependency.
    pub(crate) optional: bool,
}

/// A build profile.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    /// As `cargo build`.
    Dev,
    /// As `cargo build --release`.
    Release,
}

impl Workspace {
    /// Loads the workspace of this program.
    pub(crate) fn load() -> Result<Self> {
        // Set by `cargo run`, so that a program built before the checkout was moved finds it.
        let xtask = std::env::var("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&xtask).parent().ok_or("xtask has no parent folder")?;
        let metadata = Cmd::cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .folder(root)
            .read()?;
        let metadata: Value = serde_json::from_str(&metadata)?;
        Ok(Self {
            root: root.to_path_buf(),
            target: PathBuf::from(text(&metadata["target_directory"])?),
            packages: packages(&metadata)?,
            tested: Cell::new(false),
        })
    }

    /// `cargo`, run at the root.
    pub(crate) fn cargo(&self) -> Cmd {
        Cmd::cargo().folder(&self.root)
    }

    /// A file of the workspace.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Builds the `attestry` program and returns its path.
    pub(crate) fn build_cli(&self, profile: Profile) -> Result<PathBuf> {
        match profile {
            Profile::Dev if self.tested.get() => self.build_cli_in_full(),
            _ => self.build_program("attestry-cli", "attestry", profile),
        }
    }

    /// Builds the program of the torture tests and returns its path.
    pub(crate) fn build_torture(&self, profile: Profile) -> Result<PathBuf> {
        match profile {
            Profile::Dev if self.tested.get() => self.built_for_test("program", "torture"),
            _ => self.build_program("attestry-torture", "torture", profile),
        }
    }

    /// Builds the package and returns the path of its program `name`.
    pub(crate) fn build_program(
        &self,
        package: &str,
        name: &str,
        profile: Profile,
    ) -> Result<PathBuf> {
        let mut build = self.cargo().args(["build", "--package", package]);
        if let Profile::Release = profile {
            build = build.arg("--release");
        }
        program_of(build, name)
    }

    /// Builds the `attestry` program with all features, as `cargo test --all-features` does for its tests, so that nothing
    /// is rebuilt after those.
    pub(crate) fn build_cli_in_full(&self) -> Result<PathBuf> {
        self.built_for_test("cli", "attestry")
    }

    /// The unit tests of the package's library, whose own code alone is compiled with `--cfg FLAG`.
    pub(crate) fn build_unit_tests_with(&self, flag: &str, package: &str) -> Result<PathBuf> {
        let build = self.cargo().args(["rustc", "--package", package, "--lib"]);
        let build = build.args(["--profile", "test", MESSAGES, "--", "--cfg", flag]);
        let shown = build.to_string();
        program_in(&build.run_reading(&shown)?, &package.replace('-', "_"))
            .ok_or_else(|| format!("{shown} built no tests").into())
    }

    /// The program `name` as built with all features for the integration test `test` of its package.
    fn built_for_test(&self, test: &str, name: &str) -> Result<PathBuf> {
        let tests = ["test", "--workspace", "--all-features", "--no-run", "--test", test];
        program_of(self.cargo().args(tests), name)
    }
}

/// Runs a build and finds the program in its messages.
fn program_of(build: Cmd, name: &str) -> Result<PathBuf> {
    let shown = build.to_string();
    program_in(&build.arg(MESSAGES).run_reading(&shown)?, name)
        .ok_or_else(|| format!("{shown} built no program named {name}").into())
}

/// Has cargo print what it builds.
const MESSAGES: &str = "--message-format=json-render-diagnostics";

/// The program of the target `name` in the messages of a build.
fn program_in(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|message| message["target"]["name"] == name && message["executable"].is_string())
        .and_then(|message| message["executable"].as_str().map(PathBuf::from))
}

impl Package {
    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its features that its `src` names.
    pub(crate) fn named_features(&self) -> Result<Vec<&str>> {
        let mut files = Vec::new();
        rust_files(&self.folder.join("src"), &mut files)?;
        let code = files.iter().map(fs::read_to_string).collect::<std::io::Result<String>>()?;
        let named = |name: &&str| code.contains(&format!("feature = \"{name}\""));
        Ok(self.features.iter().map(String::as_str).filter(named).collect())
    }
}

/// Adds the Rust files below `folder`.
pub(crate) fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result {
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Creates an empty folder at `path`.
pub(crate) fn emptied(path: PathBuf) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(&path)
            .map_err(|error| format!("cannot clear {}: {error}", path.display()))?;
    }
    fs::create_dir_all(&path)
        .map_err(|error| format!("cannot create {}: {error}", path.display()))?;
    Ok(path)
}

/// The crates in the output of `cargo metadata`.
pub(crate) fn packages(metadata: &Value) -> Result<Vec<Package>> {
    list(&metadata["packages"]).iter().map(package).collect()
}

fn package(package: &Value) -> Result<Package> {
    let features: Vec<String> = package["features"]
        .as_object()
        .into_iter()
        .flat_map(|features| features.keys())
        .filter(|name| *name != "default")
        .cloned()
        .collect();
    let default_features = list(&package["features"]["default"])
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let dependencies = list(&package["dependencies"])
        .iter()
        .map(|dependency| {
            Ok(Dependency {
                name: text(&dependency["name"])?.to_owned(),
                dev: dependency["kind"] == "dev",
                optional: dependency["optional"] == true,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Package {
        name: text(&package["name"])?.to_owned(),
        // `null` allows every registry; a list names the allowed ones.
        published: package["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
        features,
        default_features,
        dependencies,
        folder: PathBuf::from(package["manifest_path"].as_str().unwrap_or_default())
            .parent()
            .map_or_else(PathBuf::new, Path::to_path_buf),
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| "cargo metadata is not as expected".into())
}
