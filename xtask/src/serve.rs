//! What the server gives to other programs, checked by them: metrics by `promtool`, the description of its API by
//! `openapi-spec-validator`, the systemd unit by `systemd-analyze`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::cmd::{Cmd, Result};
use crate::venv::{Package, Venv};
use crate::workspace::{Profile, Workspace, emptied};

const VALIDATOR: Package = ("openapi-spec-validator", "0.9.0");
/// The greatest exposure that `systemd-analyze security` may find, in tenths.
const MAX_EXPOSURE: &str = "15";

pub(crate) fn check(workspace: &Workspace) -> Result {
    let program = workspace.build_cli(Profile::Dev)?;
    let folder = emptied(workspace.target.join("serve"))?;
    metrics(&Server::start(Command::new(&program).current_dir(&folder))?)?;
    let venv = Venv::prepare(workspace.target.join("tools").join("venv-openapi"), &[VALIDATOR])?;
    Cmd::new(venv.program("openapi-spec-validator"))
        .arg(workspace.path("docs/openapi.json"))
        .run()?;
    if is_there("systemd-analyze")? {
        let unit = std::fs::read_to_string(workspace.path("packaging/systemd/attestry.service"))?;
        let unit = unit.replace("/usr/bin/attestry", &program.display().to_string());
        let path = folder.join("attestry.service");
        std::fs::write(&path, unit)?;
        Cmd::new("systemd-analyze").arg("verify").arg(&path).run()?;
        let security = ["security", "--no-pager", "--offline=true", "--threshold", MAX_EXPOSURE];
        let found = Cmd::new("systemd-analyze").args(security).arg(&path).finish()?;
        let exposure = found.stdout.lines().last().unwrap_or_default().to_owned();
        println!("  {exposure}");
        if found.code != Some(0) {
            return Err(
                format!("the unit exposes more than {MAX_EXPOSURE} tenths: {exposure}").into()
            );
        }
    }
    Ok(())
}

/// Has `promtool` check the metrics of a server that has recorded an entry.
fn metrics(server: &Server) -> Result {
    if !is_there("promtool")? {
        return Ok(());
    }
    let body = r#"{"input": "a", "output": "b"}"#;
    server.request(&format!(
        "POST /v1/entries HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))?;
    let metrics = server.request("GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool.stdin.take().ok_or("no standard input")?.write_all(metrics.as_bytes())?;
    let checked = promtool.wait_with_output()?;
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    if !checked.status.success() || !said.trim().is_empty() {
        return Err(format!("promtool: {said}").into());
    }
    println!("  promtool accepts {} lines of metrics", metrics.lines().count());
    Ok(())
}

/// Whether a program is installed. With `ATTESTRY_REQUIRE=all` it must be.
fn is_there(program: &str) -> Result<bool> {
    if Cmd::new(program).arg("--version").finish().is_ok_and(|finished| finished.code == Some(0)) {
        return Ok(true);
    }
    if std::env::var_os("ATTESTRY_REQUIRE").is_some_and(|value| value == "all") {
        return Err(format!("ATTESTRY_REQUIRE=all: {program} is not installed").into());
    }
    println!("  skipped: {program} is not installed");
    Ok(false)
}

/// A running server, which is killed when this is dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(command: &mut Command) -> Result<Self> {
        let arguments = ["--store", "audit", "serve", "--listen", "127.0.0.1:0"];
        let mut process = command.args(arguments).stderr(Stdio::piped()).spawn()?;
        let errors = process.stderr.take().ok_or("no standard error")?;
        let mut server = Self { process, address: String::new() };
        for line in BufReader::new(errors).lines() {
            if let Some((_, address)) = line?.split_once("listening on http://") {
                address.clone_into(&mut server.address);
                return Ok(server);
            }
        }
        Err("the server ended".into())
    }

    /// The body of the response, which must be one of success.
    fn request(&self, request: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(request.as_bytes())?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let (head, body) = response.split_once("\r\n\r\n").ok_or("the response has no end")?;
        let is_success = head.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
        if is_success { Ok(body.to_owned()) } else { Err(response.into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
