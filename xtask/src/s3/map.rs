//! A server that has little to do for an answer: the protocol by `s3s`, over a map in memory, which
//! the tests of the crate have too.

use std::io::{BufRead, BufReader};
use std::process::Child;

use crate::cmd::Result;
use crate::workspace::Workspace;

pub(super) const BUCKET: &str = "bucket";
pub(super) const PREFIX: &str = "audit";
pub(super) const ACCESS_KEY: &str = "access";
pub(super) const SECRET_KEY: &str = "secret";

/// A running server; ended when dropped.
pub(super) struct MapServer {
    process: Child,
    pub(super) port: u16,
}

impl MapServer {
    /// Starts it with so many days of so many entries.
    pub(super) fn start(workspace: &Workspace, days: &str, a_day: &str) -> Result<Self> {
        let bench = ["bench", "--quiet", "--package", "attestry-s3", "--bench", "bucket", "--"];
        let command = workspace.cargo().args(bench).args(["serve", days, a_day]);
        let mut server = Self { process: command.start()?, port: 0 };
        let output = server.process.stdout.take().ok_or("no output of the server")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        server.port =
            line.trim().parse().map_err(|_| format!("`{command}` printed no port: {line}"))?;
        Ok(server)
    }
}

impl Drop for MapServer {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
