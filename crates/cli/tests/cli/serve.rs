//! `attestry serve` as a process, with `curl` as its client.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

use crate::common::{self, Folder};
use serde_json::{Value, json};

pub(crate) struct Serve {
    pub(crate) process: Child,
    pub(crate) url: String,
    pub(crate) errors: BufReader<std::process::ChildStderr>,
}

/// The address in the log of a server that starts.
pub(crate) fn url_of(errors: &mut impl BufRead) -> String {
    let mut lines = String::new();
    loop {
        let read = errors.read_line(&mut lines).unwrap();
        assert!(read > 0, "{lines}");
        // Also in a line of JSON.
        if let Some((_, url)) = lines.split_once("listening on ") {
            break url.split(['"', '\n']).next().unwrap().to_owned();
        }
    }
}

impl Serve {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend_from_slice(arguments);
        let mut process = folder.command(&all).spawn().unwrap();
        let mut errors = BufReader::new(process.stderr.take().unwrap());
        Self { url: url_of(&mut errors), process, errors }
    }

    /// Status and body of a request.
    pub(crate) fn curl(&self, path: &str, arguments: &[&str]) -> (u16, String) {
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

    pub(crate) fn post(&self, path: &str, body: &Value, arguments: &[&str]) -> (u16, Value) {
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
    pub(crate) fn end(mut self, signal: &str) -> Option<i32> {
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
    assert!(line.ends_with("read tokens and certificates again\n"), "{line}");
    assert_eq!(serve.curl("/v1/entries", &["--header", &reader]).0, 200);
    assert_eq!(serve.curl("/v1/entries", &["--header", &writer]).0, 403);
    assert_eq!(serve.end("-TERM"), Some(0));
    let again = ["token", "new", "--tokens", "tokens", "--name", "auditor", "--role", "read"];
    let refused = folder.run(&again);
    assert_eq!(refused.status, Some(2));
    assert!(refused.stderr.contains("has a token of auditor"), "{}", refused.stderr);
    let secret = reader.rsplit(' ').next().unwrap();
    assert!(!std::fs::read_to_string(folder.path("tokens")).unwrap().contains(secret));
    let accesses = folder.ok(&["access", "list", "--format", "json"]);
    assert!(accesses.contains("\"client\":\"auditor\""), "{accesses}");
    assert!(accesses.contains("\"reload-tokens\""), "{accesses}");
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

/// The lines that the server writes until it ends.
fn log_of(mut serve: Serve) -> String {
    serve.signal("-TERM");
    let mut log = String::new();
    std::io::Read::read_to_string(&mut serve.errors, &mut log).unwrap();
    assert_eq!(serve.process.wait().unwrap().code(), Some(0), "{log}");
    log
}

#[test]
fn log_is_structured_and_holds_no_secret() {
    let folder = Folder::new();
    let token = folder.ok(&["token", "new", "--tokens", "t", "--name", "a", "--role", "admin"]);
    let token = token.trim();
    let serve = Serve::start(
        &folder,
        &["--tokens", "t", "--store-content", "--log-format", "json", "--log-level", "debug"],
    );
    let header = format!("authorization: Bearer {token}");
    let given = json!({ "input": "private question", "output": "private answer" });
    assert_eq!(serve.post("/v1/entries", &given, &["--header", &header]).0, 201);
    assert_eq!(serve.curl("/v1/entries?text_contains=private", &["--header", &header]).0, 200);
    assert_eq!(
        serve.curl("/v1/entries", &["--header", "authorization: Bearer wrong-token"]).0,
        401
    );
    let log = log_of(serve);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests = lines.iter().filter(|line| line["message"] == "answered");
    let statuses: Vec<_> = requests.map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 200, 401]);
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()));
    for secret in [token, "wrong-token", "private"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn options_come_from_command_line_environment_and_file() {
    let folder = Folder::new();
    folder.ok(&["token", "new", "--tokens", "t", "--name", "a", "--role", "admin"]);
    folder.write(
        "serve.toml",
        "listen = \"127.0.0.1:0\"\nstore = \"from-file\"\nstore-content = true\nmax-requests = 7\n",
    );
    let check = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut all = vec!["serve", "--check-config"];
        all.extend_from_slice(arguments);
        common::run(folder.command(&all).envs(variables.iter().copied()))
    };
    check(&["--config", "serve.toml"], &[]).expect(0, "the configuration is valid");
    check(&[], &[("ATTESTRY_SERVE_CONFIG", "serve.toml")]).expect(0, "is valid");
    assert!(!folder.path("from-file").exists(), "checking opens nothing");
    // The file, the environment, the command line: the later ones win.
    folder.write("bad.toml", "listen = \"0.0.0.0:0\"\n");
    check(&["--config", "bad.toml"], &[]).expect(2, "without TLS and tokens");
    let local = ("ATTESTRY_SERVE_LISTEN", "127.0.0.1:0");
    check(&["--config", "bad.toml"], &[local]).expect(0, "is valid");
    check(&["--config", "bad.toml", "--listen", "0.0.0.0:1"], &[local]).expect(2, "0.0.0.0:1");
    // The options of the store, too.
    let mut process = folder.command(&["serve", "--config", "serve.toml"]).spawn().unwrap();
    let mut errors = BufReader::new(process.stderr.take().unwrap());
    url_of(&mut errors);
    assert!(folder.path("from-file").exists());
    process.kill().unwrap();
    process.wait().unwrap();
    for (text, expected) in [
        ("listn = \"x\"", "there is no option listn"),
        ("check-config = true", "check-config is an option of the command line only"),
        ("listen = \"here\"", "invalid value 'here' for '--listen"),
        ("listen = 1.5", "listen: expected a text"),
        ("listen = ", "bad.toml"),
        ("tls-cert = \"x\"", "TLS needs a certificate and its key"),
        ("tokens = \"none\"", "cannot read the tokens in none"),
        ("retention-days = 1\nread-only = true", "cannot erase expired entries"),
        ("inbox = \"x\"\nread-only = true", "cannot receive telemetry"),
        ("cleanup-at = \"25:00\"", "expected a time such as 03:00"),
        ("verify-every = \"0s\"", "expected more than no time"),
        ("hash-key-file = \"no-hash-key\"", "no-hash-key"),
        ("erasure-key = \"no-erasure-key\"", "no-erasure-key"),
        ("state = \"bad.toml\"", "it is not a list of checkpoints"),
    ] {
        folder.write("bad.toml", text);
        check(&["--config", "bad.toml"], &[]).expect(2, expected);
    }
    check(&["--config", "none.toml"], &[]).expect(2, "none.toml");
}

#[test]
fn access_log_is_signed_listed_and_verified() {
    let folder = Folder::new();
    folder.ok(&["key", "generate", "--signing", "--name", "a.example/log", "--out", "signing.key"]);
    let serve = Serve::start(&folder, &["--signing-key", "signing.key"]);
    let given = json!({ "input": "a", "output": "b" });
    assert_eq!(serve.post("/v1/entries", &given, &[]).0, 201);
    assert_eq!(serve.curl("/v1/entries", &[]).0, 200);
    assert_eq!(serve.curl("/v1/entries", &["--header", "accept: application/x-ndjson"]).0, 200);
    assert_eq!(serve.end("-TERM"), Some(0));
    let list = folder.ok(&["access", "list"]);
    assert!(list.contains("anonymous") && list.contains("export"), "{list}");
    let json =
        folder.ok(&["access", "list", "--format", "json", "--action", "export", "--since", "1h"]);
    let access: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((&access["count"], &access["outcome"]), (&json!(1), &json!("completed")));
    assert_eq!(folder.ok(&["access", "list", "--client", "other", "--format", "json"]), "");
    let verify = ["access", "verify", "--public-key", "signing.key.pub"];
    assert!(folder.ok(&verify).contains("3 accesses match the Merkle tree: no problems"));
    // The signer remembers both logs, which have different names.
    folder.ok(&["verify", "--public-key", "signing.key.pub"]);
    let log = folder.path("audit/.attestry/access");
    let files = std::fs::read_dir(log).unwrap().flatten().map(|file| file.path());
    let segment = files.into_iter().find(|path| path.extension().is_some()).unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replace("anonymous", "another")).unwrap();
    folder.run(&verify).expect(1, "");
    folder.run(&["--store", "none", "access", "list"]).expect(2, "no store at none");
}

#[test]
fn access_log_is_cleaned_up_with_its_evidence() {
    let folder = Folder::new();
    folder.ok(&["key", "generate", "--signing", "--name", "a.example/log", "--out", "signing.key"]);
    let serve = Serve::start(&folder, &["--signing-key", "signing.key"]);
    assert_eq!(serve.curl("/v1/entries", &[]).0, 200);
    assert_eq!(serve.end("-TERM"), Some(0));
    // With a retention of no days, everything has expired.
    let cleanup = ["--signing-key", "signing.key", "access", "cleanup", "--retention-days", "0"];
    let with = |option: &str| folder.run(&[&cleanup[..], &[option]].concat());
    assert!(with("--dry-run").stdout.starts_with("would erase 1 access at or before "));
    folder.run(&cleanup).expect(2, "--yes");
    assert!(with("--yes").stdout.starts_with("erased 1 access at or before "));
    let left = folder.ok(&["access", "list", "--format", "json"]);
    let left: Value = serde_json::from_str(left.trim()).unwrap();
    assert_eq!((&left["action"], &left["count"]), (&json!("cleanup"), &json!(1)));
    let verify = folder.ok(&["access", "verify", "--public-key", "signing.key.pub"]);
    assert!(verify.contains("1 access matches the Merkle tree: no problems"), "{verify}");
}

#[test]
fn server_that_only_reads_changes_nothing() {
    let folder = Folder::new();
    folder.ok(&["log", "--id", "a", "--input", "x", "--output", "y"]);
    let before = folder.segment();
    let serve = Serve::start(&folder, &["--read-only"]);
    let given = json!({ "input": "a", "output": "b" });
    assert_eq!(serve.post("/v1/entries", &given, &[]).0, 403);
    assert_eq!(serve.post("/v1/calls", &json!({ "input": "a" }), &[]).0, 403);
    assert_eq!(serve.curl("/v1/entries/a?reason=x", &["--request", "DELETE"]).0, 403);
    assert_eq!(serve.curl("/v1/entries/a", &[]).0, 200);
    assert_eq!(serve.end("-TERM"), Some(0));
    assert_eq!(folder.segment(), before);
}

#[test]
fn checkpoints_of_the_server_leave_the_store() {
    let folder = crate::anchors::folder();
    let witness = crate::anchors::witness::TestWitness::start("w.example/one");
    std::fs::create_dir(folder.path("share")).unwrap();
    folder.write(
        "serve.toml",
        &format!(
            "signing-key = \"signing.key\"\nwitness = [\"{}\"]\ncheckpoint-to = [\"folder:share\"]\n",
            witness.url_and_key()
        ),
    );
    folder.run(&["serve", "--config", "serve.toml", "--check-config"]).expect(0, "is valid");
    let serve = Serve::start(&folder, &["--config", "serve.toml"]);
    let given = json!({ "input": "a", "output": "b" });
    assert_eq!(serve.post("/v1/entries", &given, &[]).0, 201);
    // The store signs after a minute.
    assert_eq!(serve.end("-TERM"), Some(0));
    assert_eq!(witness.size(), 1);
    assert_eq!(std::fs::read_dir(folder.path("share")).unwrap().count(), 1);
    let verified = folder.run(&["verify", "--public-key", "signing.key.pub"]);
    verified.expect(0, "");
    assert!(verified.stdout.contains("held elsewhere"), "{}", verified.stdout);
    // What the witness lacks after a restart is handed over.
    let serve = Serve::start(&folder, &["--config", "serve.toml"]);
    let metrics = loop {
        let (status, metrics) = serve.curl("/metrics", &[]);
        assert_eq!(status, 200);
        if metrics.contains("attestry_checkpoint_held_age_seconds") {
            break metrics;
        }
    };
    assert!(metrics.contains("attestry_anchor_pending{anchor=\"witnesses\"} 0\n"), "{metrics}");
    assert_eq!(serve.end("-TERM"), Some(0));
    // A failure is in the log, and does not hold up the end for long.
    witness.server.now(|_| crate::anchors::server::Response::new(503, "text/plain", "back soon"));
    let mut serve = Serve::start(&folder, &["--config", "serve.toml", "--anchor-timeout", "1s"]);
    assert_eq!(serve.post("/v1/entries", &given, &[]).0, 201);
    serve.signal("-TERM");
    let mut log = String::new();
    std::io::Read::read_to_string(&mut serve.errors, &mut log).unwrap();
    for line in ["a checkpoint was not handed over", "back soon", "was not handed over in time"] {
        assert!(log.contains(line), "{log}");
    }
    assert_eq!(serve.process.wait().unwrap().code(), Some(0));
    for (arguments, message) in [
        (&["--witness", "w", "--signing-key", "signing.key"][..], "is not a witness"),
        (&["--checkpoint-to", "folder:share"], "the signing key is missing"),
        (&["--checkpoint-to", "folder:share", "--read-only"], "only reads"),
    ] {
        folder.run(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat()).expect(2, message);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_idle_connections_take_bounded_memory() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    assert!(limit.current.is_none_or(|files| files > 10_100), "too few files may be open");
    let folder = Folder::new();
    let serve = Serve::start(&folder, &["--max-connections", "10100"]);
    let address = serve.url.strip_prefix("http://").unwrap();
    let mut idle = Vec::new();
    while idle.len() < 10_000 {
        let mut last = std::net::TcpStream::connect(address).unwrap();
        // An answer shows that all before it were accepted: beyond its backlog the system makes clients wait.
        if idle.len() % 100 == 99 {
            std::io::Write::write_all(&mut last, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
                .unwrap();
            std::io::Read::read_exact(&mut last, &mut [0; 15]).unwrap();
        }
        idle.push(last);
    }
    let given = json!({ "input": "a", "output": "b" });
    assert_eq!(serve.post("/v1/entries", &given, &[]).0, 201);
    let status = std::fs::read_to_string(format!("/proc/{}/status", serve.process.id())).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u64 = memory.trim().trim_end_matches(" kB").parse().unwrap();
    // Not optimised, tasks take more: 18 kB a connection.
    assert!(kilobytes < 300_000, "{kilobytes} kB for {} connections", idle.len());
    assert_eq!(serve.end("-TERM"), Some(0));
}
