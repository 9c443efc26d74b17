//! One SeaweedFS server on the loopback interface, with credentials of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cmd::{Cmd, Result};

const ACCESS_KEY: &str = "ATTESTRYTEST";
const SECRET_KEY: &str = "no-secret-at-all";
/// May list and read, and nothing else.
const READER: (&str, &str) = ("ATTESTRYREADER", "no-secret-either");
const REGION: &str = "us-east-1";

/// Long, for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running server; ended when dropped.
pub(super) struct Server {
    process: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    /// Starts `program` with its data in `folder`, and waits until it answers.
    pub(super) fn start(program: &Path, folder: &Path) -> Result<Self> {
        let data = folder.join("data");
        fs::create_dir(&data)?;
        let config = folder.join("identities.json");
        fs::write(&config, identities().to_string())?;
        let log = folder.join("server.log");
        let output = File::create(&log)?;
        let ports = free_ports(8)?;
        let mut command = Command::new(program);
        command
            .args(["server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
            .args(["-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=40"])
            .arg(format!("-dir={}", data.display()))
            .arg(format!("-s3.config={}", config.display()));
        let names = [
            "s3.port",
            "s3.port.grpc",
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
        ];
        for (name, port) in names.iter().zip(&ports) {
            command.arg(format!("-{name}={port}"));
        }
        // Services that nobody here asks for, each with a port of its own.
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        let process = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut server = Self { process, port: ports[0], log };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it said.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Lets a program reach the server, as the AWS tools are told: by the environment.
    pub(super) fn reach(&self, command: Cmd) -> Cmd {
        command
            .env("AWS_ENDPOINT_URL", self.endpoint())
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("ATTESTRY_S3_READER", format!("{}:{}", READER.0, READER.1))
            .without_env("AWS_PROFILE")
            .without_env("AWS_SESSION_TOKEN")
    }

    fn wait_until_it_answers(&mut self) -> Result {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.process.try_wait()? {
                return Err(self.unwell(&format!("ended at once ({status})")));
            }
            if self.answers().is_ok_and(|answers| answers) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(self.unwell(&format!("did not answer within {} s", PATIENCE.as_secs())))
    }

    fn answers(&self) -> std::io::Result<bool> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(Duration::from_secs(2)))?;
        connection.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 5];
        connection.read_exact(&mut start)?;
        Ok(start == *b"HTTP/")
    }

    fn unwell(&self, what: &str) -> Box<dyn std::error::Error> {
        format!("SeaweedFS {what}; its log is {}", self.log.display()).into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing that anyone wants; failing to end it leaves a process behind, no more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn identities() -> serde_json::Value {
    let identity = |name: &str, key: (&str, &str), actions: &[&str]| {
        json!({
            "name": name,
            "credentials": [{"accessKey": key.0, "secretKey": key.1}],
            "actions": actions,
        })
    };
    json!({"identities": [
        identity("admin", (ACCESS_KEY, SECRET_KEY), &["Admin", "Read", "Write", "List", "Tagging"]),
        identity("reader", READER, &["Read", "List"]),
    ]})
}

/// Ports that nobody had a moment ago; all held at once, so that none comes twice.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    Ok(held
        .iter()
        .map(|socket| socket.local_addr().map(|a| a.port()))
        .collect::<std::io::Result<_>>()?)
}
