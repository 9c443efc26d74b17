//! The server of the crate's tests: the protocol by `s3s`, a map in memory. Its response time is so small
//! that a benchmark measures the client.

use std::io::{BufRead, BufReader};
use std::process::Child;

use crate::cmd::Result;
use crate::workspace::Workspace;

pub(super) const BUCKET: &str = "bucket";
pub(super) const PREFIX: &str = "audit";
pub(super) const ACCESS_KEY: &str = "access";
pub(super) const SECRET_KEY: &str = "secret";

/// A running server; stopped when dropped.
pub(super) struct MapServer {
    process: Child,
    pub(super) port: u16,
}

impl MapServer {
    /// Starts a server that holds `entries_a_day` entries on each of `days` days.
    pub(super) fn start(workspace: &Workspace, days: &str, entries_a_day: &str) -> Result<Self> {
        let bench = ["bench", "--quiet", "--package", "attestry-s3", "--bench", "bucket", "--"];
        let command = workspace.cargo().args(bench).args(["serve", days, entries_a_day]);
        let mut server = Self { process: command.start()?, port: 0 };
        let output = server.process.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        server.port =
            line.trim().parse().map_err(|_| format!("`{command}` printed no port: {line}"))?;
        Ok(server)
    }
}

impl Drop for MapServer {
    fn drop(&mut self) {
        // The server exits at the end of its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
