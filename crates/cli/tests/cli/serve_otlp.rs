//! `attestry serve` is killed while it receives telemetry.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::Folder;
use serde_json::{Value, json};

const THREADS: u64 = 4;
const ROUNDS: u64 = 4;

struct Serve {
    process: Child,
    address: String,
}

impl Serve {
    fn start(folder: &Folder) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--store-content"];
        let mut process = folder.command(&arguments).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut addresses =
            lines.filter_map(|line| Some(line.split_once("listening on http://")?.1.to_owned()));
        Self { address: addresses.next().unwrap(), process }
    }
}

/// What is sent of a call: a path and a body. Some calls come in one request, some in two.
pub(crate) fn requests(call: u64) -> Vec<(&'static str, String)> {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let messages = |role: &str, text: String| {
        json!([{"role": role, "parts": [{"type": "text", "content": text}]}]).to_string()
    };
    let names = vec![
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.provider.name", "openai"),
        attribute("gen_ai.response.id", &format!("r-{call}")),
    ];
    let mut whole = names.clone();
    whole.push(attribute("gen_ai.input.messages", &messages("user", format!("question {call}"))));
    whole.push(attribute(
        "gen_ai.output.messages",
        &messages("assistant", format!("answer {call}")),
    ));
    let (trace, span) = (format!("{:032x}", call + 1), format!("{:016x}", call + 1));
    let start = 1_769_591_700_000_000_000 + call * 1_000_000;
    let span = |attributes: Vec<Value>| {
        let span = json!({"traceId": trace, "spanId": span, "startTimeUnixNano": start.to_string(),
            "endTimeUnixNano": (start + 1_000_000).to_string(), "attributes": attributes});
        let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
        ("/v1/traces", body.to_string())
    };
    let event = || {
        let record = json!({"traceId": trace, "spanId": format!("{:016x}", call + 1),
            "timeUnixNano": (start + 1000).to_string(), "attributes": whole.clone(),
            "eventName": "gen_ai.client.inference.operation.details"});
        (
            "/v1/logs",
            json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string(),
        )
    };
    match call % 3 {
        0 => vec![span(whole.clone())],
        1 => vec![span(names), event()],
        _ => vec![event(), span(names)],
    }
}

/// Whether the request was acknowledged.
fn post(connection: &mut Option<TcpStream>, address: &str, (path, body): &(&str, String)) -> bool {
    let mut send = || -> std::io::Result<bool> {
        let stream = match connection {
            Some(stream) => stream,
            None => connection.insert(TcpStream::connect(address)?),
        };
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let length = body.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = Vec::new();
        let mut byte = [0];
        // Responses of success have the body `{}`.
        while !answer.ends_with(b"\r\n\r\n{}") {
            if stream.read(&mut byte)? == 0 {
                return Ok(false);
            }
            answer.push(byte[0]);
        }
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    let sent = send().unwrap_or(false);
    if !sent {
        *connection = None;
    }
    sent
}

/// Requests that were not acknowledged are sent again after the restart, as an SDK does.
#[test]
fn spans_survive_sigkill_exactly_once() {
    let folder = Folder::new();
    let mut unacknowledged: Vec<(&'static str, String)> = Vec::new();
    let mut calls = 0;
    for round in 0..ROUNDS {
        let mut serve = Serve::start(&folder);
        let stop = AtomicBool::new(false);
        let (address, repeated) = (serve.address.clone(), std::mem::take(&mut unacknowledged));
        let repeated: Vec<Vec<_>> =
            repeated.chunks(repeated.len() / THREADS as usize + 1).map(<[_]>::to_vec).collect();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (address, stop) = (&address, &stop);
                    let again = repeated.get(thread as usize).cloned().unwrap_or_default();
                    scope.spawn(move || {
                        let (mut connection, mut failed) = (None, Vec::new());
                        for request in again {
                            if !post(&mut connection, address, &request) {
                                failed.push(request);
                            }
                        }
                        let mut count = 0;
                        while !stop.load(Ordering::Relaxed) && count < 10_000 {
                            let call = (round * THREADS + thread) * 10_000 + count;
                            count += 1;
                            for request in requests(call) {
                                if !post(&mut connection, address, &request) {
                                    failed.push(request);
                                }
                            }
                        }
                        (count, failed)
                    })
                })
                .collect();
            // The last server lives until everything is acknowledged.
            std::thread::sleep(Duration::from_millis(300 + 200 * round));
            if round + 1 < ROUNDS {
                serve.process.kill().unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            for worker in workers {
                let (count, failed) = worker.join().unwrap();
                calls += count;
                unacknowledged.extend(failed);
            }
        });
        if round + 1 == ROUNDS {
            let pid = serve.process.id().to_string();
            std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        }
        serve.process.wait().unwrap();
    }
    assert!(unacknowledged.is_empty(), "{} requests are not acknowledged", unacknowledged.len());
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let entries = folder.entries();
    for entry in &entries {
        let (input, output) = (&entry["input_content"], &entry["output_content"]);
        let id = entry["metadata"]["gen_ai.response.id"].as_str().unwrap().to_owned();
        let number = id.trim_start_matches("r-");
        assert!(input.as_str().unwrap().contains(&format!("\"question {number}\"")), "{entry}");
        assert!(output.as_str().unwrap().contains(&format!("\"answer {number}\"")), "{entry}");
        assert_eq!(entry["latency_ms"], 1.0, "{entry}");
        *found.entry(id).or_default() += 1;
    }
    assert!(found.values().all(|count| *count == 1));
    assert_eq!(found.len() as u64, calls);
    assert!(calls > 20, "{calls}");
}
