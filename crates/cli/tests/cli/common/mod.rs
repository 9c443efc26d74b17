//! Runs the program in a temporary folder.

pub(crate) mod record;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The working directory of the program. The store is its folder `audit`.
pub(crate) struct Folder(TempDir);

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with a store that contains [`sample`], and the ids of its entries.
    pub(crate) fn with_sample() -> (Self, Vec<String>) {
        let folder = Self::new();
        folder.write("sample.jsonl", &sample());
        let ids = folder.ok(&["import", "sample.jsonl"]).lines().map(str::to_owned).collect();
        (folder, ids)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that only its owner may access, as key files must be.
    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(self.path(name), private).unwrap();
        }
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attestry"));
        command.args(arguments).current_dir(self.0.path());
        for variable in [
            "ATTESTRY_STORE",
            "ATTESTRY_KEY",
            "ATTESTRY_KEY_FILE",
            "ATTESTRY_HASH_KEY_FILE",
            "ATTESTRY_SIGNING_KEY_FILE",
            "ATTESTRY_ERASURE_KEY_FILE",
            "ATTESTRY_STATE",
        ] {
            command.env_remove(variable);
        }
        command.env("XDG_STATE_HOME", self.path("state"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Run {
        run(&mut self.command(arguments))
    }

    /// Runs the program with `input` as its standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // Fails if the program ends before it has read everything.
            scope.spawn(move || drop(stdin.write_all(input)));
            finish(child)
        })
    }

    /// Runs the program, which must succeed, and returns its standard output.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stdout
    }

    /// All stored lines, parsed.
    pub(crate) fn entries(&self) -> Vec<Value> {
        self.ok(&["list", "--format", "json"]).lines().map(json).collect()
    }

    /// The path and content of the only segment.
    pub(crate) fn segment(&self) -> (PathBuf, String) {
        let files = std::fs::read_dir(self.path("audit")).unwrap();
        let paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        let is_segment = |path: &&PathBuf| path.extension() == Some(OsStr::new("jsonl"));
        let path = paths.iter().find(is_segment).unwrap().clone();
        let content = std::fs::read_to_string(&path).unwrap();
        (path, content)
    }
}

impl Run {
    /// Asserts the exit status, and that standard error contains `message`.
    #[track_caller]
    pub(crate) fn expect(&self, status: i32, message: &str) {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(self.stderr.contains(message), "{:?} is not in {}", message, self.stderr);
    }
}

pub(crate) fn run(command: &mut Command) -> Run {
    finish(command.spawn().unwrap())
}

pub(crate) fn finish(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    Run {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Six interactions of three models on three days, with a number in their metadata.
pub(crate) fn sample() -> String {
    let line = |day: u32, provider: &str, model: &str, failed: bool, latency: u32| {
        let number = day * 100 + latency;
        let detectors = if failed { r#"["pii", "toxicity"]"# } else { "[]" };
        format!(
            r#"{{"input": "question {number}", "output": "answer {number}", "provider": "{provider}", "model": "{model}", "conversation_id": "c{day}", "safety_passed": {}, "detectors_triggered": {detectors}, "latency_ms": {latency}, "input_tokens": {number}, "output_tokens": 7, "metadata": {{"n": {number}}}, "timestamp": "2026-01-{day:02}T12:00:00.{latency:06}Z"}}"#,
            !failed
        ) + "\n"
    };
    [
        line(1, "openai", "gpt-4", false, 10),
        line(1, "openai", "gpt-4", true, 20),
        line(2, "openai", "gpt-5", false, 30),
        line(2, "anthropic", "claude", false, 40),
        line(3, "anthropic", "claude", true, 50),
        line(3, "openai", "gpt-4", false, 60),
    ]
    .concat()
}
