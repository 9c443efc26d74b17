//! A SeaweedFS server on the loopback interface, with test credentials.

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
/// Credentials that permit to list and to read only.
const READER: (&str, &str) = ("ATTESTRYREADER", "no-secret-either");
const REGION: &str = "us-east-1";

/// Generous, for a loaded machine.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// A running server; killed when dropped.
pub(super) struct SeaweedFs {
    process: Child,
    port: u16,
    log: PathBuf,
}

impl SeaweedFs {
    /// Starts `program` with its data in `folder`, and waits until it responds.
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
        // Disables services that are not needed; each would listen on a port.
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        let process = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut server = Self { process, port: ports[0], log };
        server.wait_until_ready()?;
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its log file.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Sets the environment variables of the AWS tools to the endpoint and credentials of the server.
    pub(super) fn configure(&self, command: Cmd) -> Cmd {
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

    fn wait_until_ready(&mut self) -> Result {
        let start = Instant::now();
        while start.elapsed() < START_TIMEOUT {
            if let Some(status) = self.process.try_wait()? {
                return Err(self.failed(&format!("exited at its start ({status})")));
            }
            if self.is_ready().unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(self.failed(&format!("did not respond within {} s", START_TIMEOUT.as_secs())))
    }

    fn is_ready(&self) -> std::io::Result<bool> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(Duration::from_secs(2)))?;
        connection.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 5];
        connection.read_exact(&mut start)?;
        Ok(start == *b"HTTP/")
    }

    fn failed(&self, what: &str) -> Box<dyn std::error::Error> {
        format!("SeaweedFS {what}; see its log {}", self.log.display()).into()
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        // Errors only leave a process behind.
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

/// Distinct free ports: all are bound at the same time, then released.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    Ok(listeners
        .iter()
        .map(|listener| listener.local_addr().map(|a| a.port()))
        .collect::<std::io::Result<_>>()?)
}
