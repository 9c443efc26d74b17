//! `cargo xtask otlp`: real clients send their telemetry to `attestry serve` while they call a small model.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Child;

use crate::capture::{CONTENT, LATEST, MODEL_URL, OTLP, serve_model};
use crate::cmd::{Cmd, Result};
use crate::venv::{Package, Venv};
use crate::workspace::{Profile, Workspace, emptied};

const GRPC: Package = ("opentelemetry-exporter-otlp-proto-grpc", "1.45.2");

/// Clients that can be installed together, and their instrumentations.
struct Group {
    name: &'static str,
    packages: &'static [Package],
    kinds: &'static [Kind],
}

type Kind = (&'static str, &'static [(&'static str, &'static str)]);

const GROUPS: &[Group] = &[
    Group {
        name: "clients",
        packages: &[
            ("openai", "3.57.0"),
            ("anthropic", "2.14.0"),
            ("httpx", "0.28.1"),
            ("opentelemetry-instrumentation-openai", "0.62.4"),
            ("opentelemetry-instrumentation-anthropic", "0.62.4"),
            ("openinference-instrumentation-openai", "0.1.66"),
            OTLP,
            GRPC,
        ],
        kinds: &[
            ("traceloop-openai", &[]),
            ("openinference-openai", &[]),
            ("anthropic-sdk", &[("ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE", "content")]),
            // Two spans of each call.
            ("traceloop-anthropic", &[]),
        ],
    },
    Group {
        name: "openai-v2",
        packages: &[
            ("opentelemetry-instrumentation-openai-v2", "2.4b0"),
            ("opentelemetry-util-genai", "1.0b0"),
            ("openai", "2.54.0"),
            ("httpx", "0.28.1"),
            OTLP,
            GRPC,
        ],
        kinds: &[
            ("openai-v2", &[LATEST, (CONTENT, "span_only")]),
            // A span and an event of each call, in requests of their own.
            ("openai-v2", &[LATEST, (CONTENT, "event_only")]),
            ("openai-v2", &[LATEST, (CONTENT, "span_and_event")]),
        ],
    },
];

/// Packages of npm, for Node 20.
const NODE: &[&str] = &[
    "@opentelemetry/exporter-trace-otlp-http@0.205",
    "@opentelemetry/exporter-trace-otlp-proto@0.205",
    "@opentelemetry/resources@2",
    "@opentelemetry/sdk-trace-base@2",
];

/// How long the server is down.
const SECONDS_DOWN: &str = "60";

/// `attestry serve`.
struct Serve {
    process: Child,
    http: String,
    grpc: String,
}

impl Serve {
    fn start(program: &Path, store: &Path) -> Result<Self> {
        let any = "127.0.0.1:0";
        let mut process = Cmd::new(program)
            .arg("--store")
            .arg(store)
            .args(["serve", "--store-content", "--listen", any, "--grpc-listen", any])
            .start_reading_errors()?;
        let mut lines = BufReader::new(process.stderr.take().ok_or("no errors to read")?).lines();
        let mut address = |end: &str| -> Result<String> {
            loop {
                let line = lines.next().ok_or("the server ended")??;
                if let Some((_, url)) = line.split_once("listening on ") {
                    return Ok(url.strip_suffix(end).ok_or(line.clone())?.to_owned());
                }
            }
        };
        let (http, grpc) = (address("")?, address(" for gRPC")?);
        Ok(Self { process, http, grpc })
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Each call of each client is one entry with the hashes of its texts; and a server that is down for a minute loses
/// nothing of what the queue of an SDK holds.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let work = workspace.target.join("otlp");
    fs::create_dir_all(&work)?;
    let program = workspace.build_cli(Profile::Dev)?;
    let mut model = serve_model(workspace, &work.join("model"))?;
    let serve = Serve::start(&program, &emptied(work.join("store"))?);
    let checked = serve.and_then(|serve| check(workspace, &work, &serve));
    model.kill()?;
    model.wait()?;
    checked?;
    let venv = Venv::prepare(work.join(GROUPS[0].name), GROUPS[0].packages)?;
    Cmd::new(venv.python())
        .arg(workspace.path("rigs/otlp/down.py"))
        .arg(program)
        .arg(emptied(work.join("store-down"))?)
        .arg(SECONDS_DOWN)
        .run()
}

fn check(workspace: &Workspace, work: &Path, serve: &Serve) -> Result {
    let script = workspace.path("rigs/otlp/clients.py");
    for group in GROUPS {
        let venv = Venv::prepare(work.join(group.name), group.packages)?;
        for (kind, env) in group.kinds {
            for transport in ["http", "grpc"] {
                let client = Cmd::new(venv.python())
                    .arg(&script)
                    .args(["--model", MODEL_URL, "--http", &serve.http, "--grpc", &serve.grpc])
                    .args(["--transport", transport, "--kind", kind]);
                env.iter().fold(client, |client, (name, value)| client.env(name, value)).run()?;
            }
        }
    }
    let node = work.join("node");
    fs::create_dir_all(&node)?;
    let program = node.join("send.mjs");
    fs::copy(workspace.path("rigs/otlp/send.mjs"), &program)?;
    Cmd::new("npm").args(["install", "--silent", "--prefix"]).arg(&node).args(NODE).run()?;
    Cmd::new("node").arg(program).arg(&serve.http).folder(&node).run()
}
