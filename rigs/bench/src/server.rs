//! The servers that the row `serve` measures, each in a process of its own, and a client that loads them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use attestry::StorageBackend as _;
use attestry::file::FileStorage;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;

use crate::group::{Caller, Group};
use crate::peers::receivers::Receiver;
use crate::stats::{micros, to_f64};
use crate::{Result, plain, rig};

/// Ticks of processor time a second, as Linux reports them.
const TICKS: f64 = 100.0;

/// Entries in a store that no server has open.
pub(crate) fn stored(store: &Path) -> Result<u64> {
    rig::runtime()?.block_on(async {
        let storage = FileStorage::builder(store).read_only(true).open().await?;
        Ok(storage.count().await?)
    })
}

/// Appends raw bodies with group commit, and decodes nothing; prints the address.
pub(crate) fn floor(file: &Path) -> Result<()> {
    let group = Group::start(plain::append(file)?);
    let router = Router::new()
        .route("/v1/traces", post(append))
        .layer(DefaultBodyLimit::max(64 << 20))
        .with_state(group.caller());
    rig::runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        Ok(axum::serve(listener, router).await?)
    })
}

async fn append(State(caller): State<Caller>, body: Bytes) -> axum::http::StatusCode {
    match caller.append(&body).await {
        Ok(()) => axum::http::StatusCode::OK,
        Err(_) => axum::http::StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A server in a process of its own, which is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    process: Child,
    address: SocketAddr,
    /// Headers of each request, each with its line break.
    headers: &'static str,
}

/// After a refused request, as SDKs wait at least.
const BACKOFF: Duration = Duration::from_secs(1);

/// How long another receiver may take until it is ready: its packages are compiled at its first start.
const START_LIMIT: Duration = Duration::from_secs(300);

impl Running {
    /// Starts the server of the program `attestry` with a store.
    pub(crate) fn start(attestry: &Path, store: &Path) -> Result<Self> {
        let mut command = rig::on_store(attestry, store);
        command.args(["serve", "--listen", "127.0.0.1:0", "--store-content"]);
        let mut process = command.stderr(Stdio::piped()).spawn()?;
        let mut log = BufReader::new(process.stderr.take().ok_or("no log")?).lines();
        let listening = |line: &str| line.split_once("listening on http://")?.1.parse().ok();
        let address =
            log.by_ref().map_while(std::result::Result::ok).find_map(|line| listening(&line));
        let address = address.ok_or("the server does not start")?;
        // A pipe that is full would hold the server up.
        thread::spawn(move || log.for_each(drop));
        Ok(Self { process, address, headers: "" })
    }

    /// Starts the server that appends raw bodies to a new file.
    pub(crate) fn start_floor(file: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg("serve-floor").arg(file).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self { process, address: line.trim().parse()?, headers: "" })
    }

    /// Starts another receiver with a new store in `folder`, and waits until it is ready.
    pub(crate) fn start_peer(receiver: &Receiver, folder: &Path) -> Result<Self> {
        let (mut command, port) = receiver.command(folder)?;
        let log = File::create(folder.join("log"))?;
        command.stdout(log.try_clone()?).stderr(log);
        // Its own group: a receiver may have several processes.
        let process = command.process_group(0).spawn()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut running = Self { process, address, headers: receiver.headers };
        let start = Instant::now();
        while running.get(receiver.health).is_err() {
            if running.process.try_wait()?.is_some() || start.elapsed() > START_LIMIT {
                let log = folder.join("log").display().to_string();
                return Err(format!("{} does not start: see {log}", receiver.name).into());
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(running)
    }

    /// The body of an answer with status 200, on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        match Connection::new(self.address)?.send(request.as_bytes(), &[])? {
            (200, body) => Ok(body),
            (status, _) => Err(format!("GET {path} is answered with {status}").into()),
        }
    }

    /// Processor time of the process so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields = stat.rsplit_once(')').ok_or("no process")?.1;
        let ticks: f64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
        Ok(Duration::from_secs_f64(ticks / TICKS))
    }

    /// Peak resident memory in MiB.
    pub(crate) fn peak_mib(&self) -> Result<f64> {
        self.memory_mib("VmHWM:")
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        self.memory_mib("VmRSS:")
    }

    fn memory_mib(&self, name: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let line = line.and_then(|line| line.split_whitespace().next());
        let kilobytes = line.ok_or_else(|| format!("the server's status has no {name}"))?;
        Ok(kilobytes.parse::<f64>()? / 1024.0)
    }

    /// Sends requests of `spans` spans each on `connections` connections for about `time`.
    pub(crate) fn load(&self, connections: usize, spans: usize, time: Duration) -> Result<Loaded> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (template, start) = (Arc::new(Template::new(spans)), Instant::now());
        let workers: Vec<_> = (0..connections)
            .map(|_| {
                let (template, address) = (Arc::clone(&template), self.address);
                let headers = self.headers;
                thread::spawn(move || -> Result<Vec<Option<f64>>> {
                    let mut connection = Connection::new(address)?;
                    let mut body = template.bytes.clone();
                    let mut answers = Vec::new();
                    while start.elapsed() < time {
                        let first = NEXT.fetch_add(template.spans() as u64, Ordering::Relaxed);
                        template.number(&mut body, first);
                        let sent = Instant::now();
                        let status = connection.post(headers, &body)?;
                        answers.push(match status {
                            200 => Some(micros(sent.elapsed())),
                            _ => {
                                thread::sleep(BACKOFF);
                                None
                            }
                        });
                    }
                    Ok(answers)
                })
            })
            .collect();
        let mut loaded = Loaded::default();
        for worker in workers {
            for answer in worker.join().map_err(|_| "a client panicked")?? {
                match answer {
                    Some(took) => loaded.latencies.push(took),
                    None => loaded.refused += 1,
                }
            }
        }
        loaded.spans = (loaded.latencies.len() * spans) as u64;
        loaded.seconds = start.elapsed().as_secs_f64();
        Ok(loaded)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of the group, if it is one.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a load did.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Acknowledged spans.
    pub(crate) spans: u64,
    /// Refused requests.
    pub(crate) refused: u64,
    pub(crate) seconds: f64,
    /// Microseconds of each acknowledged request.
    pub(crate) latencies: Vec<f64>,
}

impl Loaded {
    pub(crate) fn rate(&self) -> f64 {
        to_f64(self.spans) / self.seconds
    }
}

/// HTTP/1.1 on one connection.
struct Connection(TcpStream);

impl Connection {
    fn new(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    fn post(&mut self, headers: &str, body: &[u8]) -> Result<u16> {
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n{headers}content-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Ok(self.send(head.as_bytes(), body)?.0)
    }

    /// Sends a request, and returns the status of its answer and its body.
    fn send(&mut self, head: &[u8], body: &[u8]) -> Result<(u16, String)> {
        self.0.write_all(head)?;
        self.0.write_all(body)?;
        let mut answer = Vec::new();
        let mut chunk = [0; 16 << 10];
        // The end of the head and of the whole answer, when the head is there.
        let mut ends = None;
        loop {
            let read = self.0.read(&mut chunk)?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            answer.extend_from_slice(&chunk[..read]);
            if ends.is_none() {
                let text = String::from_utf8_lossy(&answer);
                ends = text
                    .find("\r\n\r\n")
                    .map(|end| (end + 4, end + 4 + content_length(&text[..end])));
            }
            if let Some((head, end)) = ends
                && answer.len() >= end
            {
                let text = String::from_utf8_lossy(&answer);
                let status = text.get(9..12).ok_or("no status")?.parse()?;
                return Ok((status, text.get(head..).unwrap_or_default().to_owned()));
            }
        }
    }
}

/// Of the head of an answer.
fn content_length(head: &str) -> usize {
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
    });
    length.unwrap_or(0)
}

/// A request in protobuf whose ids are replaced for each use, so that no span is sent twice.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) bytes: Vec<u8>,
    /// Where the trace, the span and the id of the response of each span are.
    ids: Vec<[usize; 3]>,
}

/// Bytes of input and output of a span, so that it has about 2 KB with its other attributes.
const TEXT_BYTES: usize = 750;
/// Ids that are replaced.
const MARK: &str = "0000000000000000";
const SPAN_MARK: &[u8] = b"SPANMARK";

impl Template {
    pub(crate) fn new(spans: usize) -> Self {
        let mut encoded = Vec::new();
        for number in 0..spans {
            field(&mut encoded, 2, &span(number));
        }
        let mut scope = Vec::new();
        let mut about = Vec::new();
        field(&mut about, 1, b"bench");
        field(&mut scope, 1, &about);
        scope.extend_from_slice(&encoded);
        let mut resource = Vec::new();
        let mut attributes = Vec::new();
        field(&mut attributes, 1, &attribute("service.name", "bench"));
        field(&mut resource, 1, &attributes);
        field(&mut resource, 2, &scope);
        let mut bytes = Vec::new();
        field(&mut bytes, 1, &resource);
        let find = |mark: &[u8]| -> Vec<usize> {
            let windows = bytes.windows(mark.len()).enumerate();
            windows.filter(|(_, window)| *window == mark).map(|(at, _)| at).collect()
        };
        let (marks, span_ids) = (find(MARK.as_bytes()), find(SPAN_MARK));
        let ids = marks.chunks(2).zip(span_ids).map(|(at, span)| [at[0], span, at[1]]).collect();
        Self { bytes, ids }
    }

    pub(crate) fn spans(&self) -> usize {
        self.ids.len()
    }

    /// Numbers the spans from `first`.
    pub(crate) fn number(&self, bytes: &mut [u8], first: u64) {
        for (number, [trace, span, response]) in (first..).zip(&self.ids) {
            let text = format!("{number:016x}");
            bytes[*trace..trace + 16].copy_from_slice(text.as_bytes());
            bytes[*span..span + 8].copy_from_slice(&number.to_be_bytes());
            bytes[*response..response + 16].copy_from_slice(text.as_bytes());
        }
    }
}

fn span(number: usize) -> Vec<u8> {
    let text = |seed: usize| -> String {
        let words =
            ["contract", "summarise", "invoice", "between", "customer", "deadline", "claim"];
        let mut text = String::new();
        let mut at = seed;
        while text.len() < TEXT_BYTES {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += words[(at >> 33) % words.len()];
            text.push(' ');
        }
        text
    };
    let messages = |role: &str, text: String| {
        format!(r#"[{{"role":"{role}","parts":[{{"type":"text","content":"{text}"}}]}}]"#)
    };
    let mut span = Vec::new();
    field(&mut span, 1, MARK.as_bytes());
    field(&mut span, 2, SPAN_MARK);
    field(&mut span, 5, b"chat gpt-4");
    let start = 1_769_591_700_000_000_000_u64 + number as u64;
    for (tag, nanos) in [(7_u8, start), (8, start + 800_000_000)] {
        span.push(tag << 3 | 1);
        span.extend_from_slice(&nanos.to_le_bytes());
    }
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4"),
        ("gen_ai.response.model", "gpt-4-0613"),
        ("gen_ai.response.id", MARK),
        ("gen_ai.conversation.id", "conversation-1"),
        ("server.address", "api.openai.com"),
        ("gen_ai.input.messages", &messages("user", text(number * 2))),
        ("gen_ai.output.messages", &messages("assistant", text(number * 2 + 1))),
    ] {
        field(&mut span, 9, &attribute(key, value));
    }
    span
}

fn attribute(key: &str, value: &str) -> Vec<u8> {
    let mut any = Vec::new();
    field(&mut any, 1, value.as_bytes());
    let mut attribute = Vec::new();
    field(&mut attribute, 1, key.as_bytes());
    field(&mut attribute, 2, &any);
    attribute
}

/// A field of protobuf with a length.
fn field(to: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    varint(to, u64::from(number << 3 | 2));
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use attestry_genai::decode_traces;

    use super::*;

    #[test]
    fn template_has_numbered_spans_of_two_kilobytes() {
        let template = Template::new(100);
        assert_eq!(template.spans(), 100);
        assert!((190_000..220_000).contains(&template.bytes.len()), "{}", template.bytes.len());
        let mut ids = std::collections::BTreeSet::new();
        let mut bytes = template.bytes.clone();
        for first in [1, 101] {
            template.number(&mut bytes, first);
            for record in decode_traces(&bytes).unwrap().records {
                assert!(record.is_complete());
                ids.insert(record.id());
            }
        }
        assert_eq!(ids.len(), 200);
    }
}
