//! `cargo xtask viewer`: every page of the viewer in headless Chromium, over a store of usual calls and a hostile one.

use std::fs::{self};
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::cmd::{Cmd, Result};
use crate::workspace::{Profile, Workspace, emptied};

const FILES: [&str; 6] =
    ["check.mjs", "demo.mjs", "hostile.mjs", "large.mjs", "package.json", "package-lock.json"];
/// The programs' names on Debian and elsewhere.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Checks every page of the viewer.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let Some(browser) = browser()? else { return Ok(()) };
    let folder = prepare(workspace)?;
    let attestry = workspace.build_cli(Profile::Dev)?;
    let stores = emptied(folder.join("stores"))?;
    let key = stores.join("signing.key");
    let state = stores.join("signed");
    let signed = |arguments: &[&str]| {
        let command = Cmd::new(&attestry).args(arguments).arg("--signing-key").arg(&key);
        command.arg("--state").arg(&state).folder(&stores)
    };
    Cmd::new(&attestry)
        .args(["key", "generate", "--signing", "--name", "example.com/audit", "--out"])
        .arg(&key)
        .finish()?;
    let demo = written(&folder, "demo.mjs")?;
    signed(&["--store", "demo", "import", "--store-content"]).arg(&demo).read()?;
    let erase = ["--store", "demo", "delete", "--conversation", "support-1003", "--yes"];
    signed(&[&erase[..], &["--reason", "request 4711", "--by", "dpo"]].concat()).read()?;
    let hostile = written(&folder, "hostile.mjs")?;
    let import = ["--store", "hostile", "import", "--store-content"];
    Cmd::new(&attestry).args(import).arg(&hostile).folder(&stores).read()?;

    let serve = ["--store", "demo", "serve", "--listen", "127.0.0.1:0"];
    let demo = Viewer::serve(&signed(&serve))?;
    // With the log-in of one browser.
    let view = ["--store", "hostile", "view", "--no-open"];
    let hostile = Viewer::view(&Cmd::new(&attestry).args(view).folder(&stores))?;
    Cmd::new("node")
        .arg("check.mjs")
        .arg(browser)
        .arg(emptied(folder.join("screenshots"))?)
        .arg(format!("demo={}", demo.url))
        .arg(format!("hostile={}", hostile.url))
        .folder(&folder)
        .run()
}

/// Prints the times and the sizes of the pages over a store of a million entries, which is kept for the next run.
pub(crate) fn large(workspace: &Workspace) -> Result {
    let folder = prepare(workspace)?;
    let attestry = workspace.build_cli(Profile::Release)?;
    let store = folder.join("large");
    if !store.exists() {
        let script = "node large.mjs write | \"$0\" --store large import - > /dev/null";
        Cmd::new("sh").args(["-c", script]).arg(&attestry).folder(&folder).run()?;
    }
    let serve = ["--store", "large", "serve", "--listen", "127.0.0.1:0", "--read-only"];
    let viewer = Viewer::serve(&Cmd::new(&attestry).args(serve).folder(&folder))?;
    let process = viewer.process.id().to_string();
    Cmd::new("node").args(["large.mjs", "measure", &viewer.url, &process]).folder(&folder).run()
}

/// The folder of the rig, with the packages of npm.
fn prepare(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("viewer");
    fs::create_dir_all(&folder)?;
    for file in FILES {
        fs::copy(workspace.path("rigs/viewer").join(file), folder.join(file))?;
    }
    let (lock, installed) = (folder.join("package-lock.json"), folder.join("installed-lock.json"));
    if fs::read(&installed).ok() != Some(fs::read(&lock)?) {
        Cmd::new("npm").args(["ci", "--silent", "--ignore-scripts"]).folder(&folder).run()?;
        fs::copy(lock, installed)?;
    }
    Ok(folder)
}

/// What the script `name` writes, in a file.
fn written(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name).with_extension("jsonl");
    fs::write(&path, Cmd::new("node").arg(name).folder(folder).read()?)?;
    Ok(path)
}

/// The browser. With `ATTESTRY_REQUIRE=all` there must be one.
fn browser() -> Result<Option<PathBuf>> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    let programs =
        BROWSERS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = programs.into_iter().find(|program| program.is_file());
    if found.is_none() {
        if std::env::var_os("ATTESTRY_REQUIRE").is_some_and(|value| value == "all") {
            return Err("ATTESTRY_REQUIRE=all: no Chromium is installed".into());
        }
        println!("  skipped: no Chromium is installed");
    }
    Ok(found)
}

/// A server with a viewer, which is killed when this is dropped.
struct Viewer {
    process: Child,
    url: String,
}

impl Viewer {
    /// Starts `attestry serve`, which says on standard error where it listens.
    fn serve(command: &Cmd) -> Result<Self> {
        let mut process = command.start_reading_errors()?;
        let errors = process.stderr.take().ok_or("no errors to read")?;
        Self::of(process, errors)
    }

    /// Starts `attestry view`, which prints its URL.
    fn view(command: &Cmd) -> Result<Self> {
        let mut process = command.start()?;
        let output = process.stdout.take().ok_or("no output to read")?;
        Self::of(process, output)
    }

    /// The server `process`, which writes a line with its URL to `output`.
    fn of(process: Child, output: impl Read) -> Result<Self> {
        let mut viewer = Self { process, url: String::new() };
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some(at) = line.find("http://") {
                line[at..].trim().clone_into(&mut viewer.url);
                return Ok(viewer);
            }
        }
        Err("the server ended".into())
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
