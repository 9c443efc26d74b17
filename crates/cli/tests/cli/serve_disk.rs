//! `attestry serve` on a disk that is full or slow.

use std::io::BufReader;
use std::process::{Command, Stdio};

use crate::common::Folder;
use crate::serve::{Serve, url_of};
use crate::serve_otlp::requests;
use serde_json::json;

/// A server whose files may have 64 KiB. The limit stands for a full disk: both fail a write in its middle.
fn start_on_full_disk(folder: &Folder) -> Serve {
    let program = env!("CARGO_BIN_EXE_attestry");
    // Ignoring the signal makes the write fail instead.
    let script =
        format!("trap '' XFSZ; ulimit -S -f 64; exec {program} serve --listen 127.0.0.1:0");
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(folder.path("")).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut errors = BufReader::new(process.stderr.take().unwrap());
    Serve { url: url_of(&mut errors), process, errors }
}

/// Gives the disk space again.
fn free_disk(serve: &Serve) {
    let id = serve.process.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited"]).status();
    assert!(raised.expect("util-linux has prlimit").success());
}

#[test]
fn full_disk_is_answered_with_503_and_the_server_is_not_ready() {
    let folder = Folder::new();
    let serve = start_on_full_disk(&folder);
    let given = json!({ "input": "a", "output": "b", "block_reason": "x".repeat(8 << 10) });
    let mut acknowledged = 0;
    let refused = loop {
        let (status, answer) = serve.post("/v1/entries", &given, &[]);
        if status != 201 {
            break (status, answer);
        }
        acknowledged += 1;
        assert!(acknowledged < 100);
    };
    assert_eq!(refused.0, 503, "{}", refused.1);
    assert_eq!(serve.curl("/readyz", &[]).0, 503);
    assert_eq!(serve.curl("/healthz", &[]).0, 200);
    free_disk(&serve);
    assert_eq!(serve.post("/v1/entries", &given, &[]).0, 201);
    assert_eq!(serve.curl("/readyz", &[]).0, 200);
    assert_eq!(serve.end("-KILL"), None);
    assert_eq!(folder.entries().len(), acknowledged + 1);
}

/// Parts that wait in the inbox are acknowledged, so they are on disk or refused.
#[test]
fn inbox_on_a_full_disk_refuses_parts_and_loses_none() {
    let folder = Folder::new();
    let serve = start_on_full_disk(&folder);
    let post = |(path, body): &(&'static str, String)| {
        serve.post(path, &serde_json::from_str(body).unwrap(), &[])
    };
    // Each call comes in two parts, of which the first waits.
    let calls: Vec<Vec<_>> = (0..80).map(|call| requests(3 * call + 1)).collect();
    let mut acknowledged = 0;
    let (status, answer) = loop {
        let (status, answer) = post(&calls[acknowledged][0]);
        if status != 200 {
            break (status, answer);
        }
        acknowledged += 1;
    };
    assert_eq!(status, 503, "{answer}");
    assert!(acknowledged > 10, "{acknowledged}");
    assert_eq!(serve.curl("/readyz", &[]).0, 503);
    free_disk(&serve);
    // As an SDK does, the client sends again what was refused, and then the rest.
    for part in
        calls[acknowledged..].iter().map(|call| &call[0]).chain(calls.iter().map(|call| &call[1]))
    {
        assert_eq!(post(part).0, 200);
    }
    assert_eq!(serve.curl("/readyz", &[]).0, 200);
    assert_eq!(serve.end("-TERM"), Some(0));
    let mut found: Vec<_> = folder
        .entries()
        .iter()
        .map(|entry| entry["metadata"]["gen_ai.response.id"].as_str().unwrap().to_owned())
        .collect();
    found.sort();
    let mut expected: Vec<_> = (0..80).map(|call| format!("r-{}", 3 * call + 1)).collect();
    expected.sort();
    assert_eq!(found, expected);
}

/// Each sync takes 200 ms. Clients repeat what is refused, as SDKs do.
#[test]
fn slow_disk_delays_answers_and_loses_nothing() {
    let traces = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !traces.is_ok_and(|status| status.success()) {
        return crate::limits::skip("strace cannot trace here");
    }
    let folder = Folder::new();
    let mut command = Command::new("strace");
    // With -D the process is the server, and strace one beside it.
    command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]);
    command.args(["-e", "inject=fdatasync,fsync:delay_enter=200000"]);
    command.arg(env!("CARGO_BIN_EXE_attestry"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--max-requests", "8"]);
    command.current_dir(folder.path("")).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut errors = BufReader::new(process.stderr.take().unwrap());
    let serve = Serve { url: url_of(&mut errors), process, errors };
    std::thread::scope(|scope| {
        for number in 0..30 {
            let serve = &serve;
            scope.spawn(move || {
                let id = format!("call-{number}");
                let given = json!({ "id": id, "input": "a", "output": "b" });
                loop {
                    match serve.post("/v1/entries", &given, &[]) {
                        (201, answer) => break assert_eq!(answer["id"], *id),
                        (status, answer) => assert_eq!(status, 503, "{answer}"),
                    }
                }
            });
        }
        // The runtime does not wait for the disk.
        assert_eq!(serve.curl("/healthz", &[]).0, 200);
    });
    assert_eq!(serve.curl("/readyz", &[]).0, 200);
    assert_eq!(serve.end("-KILL"), None);
    let mut ids: Vec<_> =
        folder.entries().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    let mut expected: Vec<_> = (0..30).map(|number| format!("call-{number}")).collect();
    expected.sort();
    assert_eq!(ids, expected);
}
