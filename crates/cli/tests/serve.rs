//! `attestry serve` as a process, with `curl` as its client.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

use common::Folder;
use serde_json::{Value, json};

struct Serve {
    process: Child,
    url: String,
    errors: BufReader<std::process::ChildStderr>,
}

impl Serve {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend_from_slice(arguments);
        let mut process = folder.command(&all).spawn().unwrap();
        let mut errors = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
        Self { url: url.to_owned(), process, errors }
    }

    /// Status and body of a request.
    fn curl(&self, path: &str, arguments: &[&str]) -> (u16, String) {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"])
            .args(arguments)
            .arg(format!("{}{path}", self.url))
            .output()
            .expect("these tests need curl");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    fn post(&self, path: &str, body: &Value, arguments: &[&str]) -> (u16, Value) {
        let body = body.to_string();
        let mut all = vec!["--header", "content-type: application/json", "--data", &body];
        all.extend_from_slice(arguments);
        let (status, answer) = self.curl(path, &all);
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// The exit status after `signal`.
    fn end(mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.process.wait().unwrap().code()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn acknowledged_interaction_survives_sigkill() {
    let folder = Folder::new();
    let serve = Serve::start(&folder, &["--store-content"]);
    let mut ids = Vec::new();
    for n in 0..20 {
        let given = json!({ "input": format!("question {n}"), "output": "answer" });
        let (status, answer) = serve.post("/v1/entries", &given, &[]);
        assert_eq!(status, 201, "{answer}");
        ids.push(answer["id"].as_str().unwrap().to_owned());
    }
    let (_, call) = serve.post("/v1/calls", &json!({ "input": "unanswered" }), &[]);
    assert_eq!(serve.end("-KILL"), None);
    let stored: Vec<_> =
        folder.entries().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(stored[..20], ids);
    assert_eq!(stored[20..], [call["id"].as_str().unwrap()]);
}

#[test]
fn sigterm_ends_the_server_in_an_orderly_way() {
    let folder = Folder::new();
    for signal in ["-TERM", "-INT"] {
        let serve = Serve::start(&folder, &[]);
        let (status, _) = serve.post("/v1/calls", &json!({ "input": "unanswered" }), &[]);
        assert_eq!((status, serve.end(signal)), (201, Some(0)));
    }
    let outcomes: Vec<_> = folder
        .entries()
        .iter()
        .filter_map(|entry| entry["metadata"]["attestry.outcome"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(outcomes, ["abandoned", "abandoned"]);
}

#[test]
fn tokens_are_created_and_reloaded() {
    let folder = Folder::new();
    let new = |name: &str, role: &str| {
        let token =
            folder.ok(&["token", "new", "--tokens", "tokens", "--name", name, "--role", role]);
        format!("authorization: Bearer {}", token.trim())
    };
    let writer = new("billing", "record");
    let mut serve = Serve::start(&folder, &["--tokens", "tokens"]);
    let given = json!({ "input": "a", "output": "b" });
    assert_eq!(serve.post("/v1/entries", &given, &["--header", &writer]).0, 201);
    assert_eq!(serve.post("/v1/entries", &given, &[]).0, 401);
    let reader = new("auditor", "read");
    assert_eq!(serve.curl("/v1/entries", &["--header", &reader]).0, 401);
    serve.signal("-HUP");
    let mut line = String::new();
    serve.errors.read_line(&mut line).unwrap();
    assert_eq!(line, "read tokens and certificates again\n");
    assert_eq!(serve.curl("/v1/entries", &["--header", &reader]).0, 200);
    assert_eq!(serve.curl("/v1/entries", &["--header", &writer]).0, 403);
    assert_eq!(serve.end("-TERM"), Some(0));
    let again = ["token", "new", "--tokens", "tokens", "--name", "auditor", "--role", "read"];
    let refused = folder.run(&again);
    assert_eq!(refused.status, Some(2));
    assert!(refused.stderr.contains("has a token of auditor"), "{}", refused.stderr);
    let secret = reader.rsplit(' ').next().unwrap();
    assert!(!std::fs::read_to_string(folder.path("tokens")).unwrap().contains(secret));
    let accesses = folder.ok(&["--store", "audit/.attestry/access", "list", "--format", "json"]);
    assert!(accesses.contains("\"user.id\": \"auditor\""), "{accesses}");
    assert!(!accesses.contains(secret));
}

#[test]
fn exposed_address_is_refused_without_tls_and_tokens() {
    let folder = Folder::new();
    let refused = folder.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status, Some(2));
    assert!(refused.stderr.contains("without TLS and tokens"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--insecure"));
}
