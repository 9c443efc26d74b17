//! Random operations by two writer processes and a reader, with reopening, rotation and lost index files
//! in between, compared with a list in memory.
#![allow(clippy::print_stdout)] // test helpers; the second process replies on stdout

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs};

use crate::common::{all, entry, folder, open_read_only};
use attestry_core::{AuditEntry, Order, Query, StorageBackend, StorageError, Timestamp};
use attestry_file::FileStorage;
use futures_util::TryStreamExt;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone)]
enum Operation {
    Write { id: u8, micros: i64 },
    Batch { ids: Vec<u8>, micros: i64 },
    Append { count: u8, micros: i64 },
    Delete { id: u8 },
    DeleteAtOrBefore { micros: i64 },
    Compact,
    Reopen,
    LoseIndexes,
}

fn operation() -> impl Strategy<Value = Operation> {
    let micros = 0..30i64;
    prop_oneof![
        4 => (any::<u8>(), micros.clone()).prop_map(|(id, micros)| Operation::Write { id: id % 40, micros }),
        2 => (proptest::collection::vec(0..40u8, 0..12), micros.clone())
            .prop_map(|(ids, micros)| Operation::Batch { ids, micros }),
        3 => (1..20u8, micros.clone()).prop_map(|(count, micros)| Operation::Append { count, micros }),
        3 => (0..40u8).prop_map(|id| Operation::Delete { id }),
        1 => micros.prop_map(|micros| Operation::DeleteAtOrBefore { micros }),
        1 => Just(Operation::Compact),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::LoseIndexes),
    ]
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros).unwrap()
}

async fn open(path: &Path, evidence: bool) -> FileStorage {
    let builder = FileStorage::builder(path).rotation_size_bytes(4_000);
    #[cfg(feature = "evidence")]
    let builder = if evidence { crate::common::evidence::with_evidence(builder) } else { builder };
    #[cfg(not(feature = "evidence"))]
    assert!(!evidence);
    builder.open().await.unwrap()
}

/// A request to a writer. Its entries have the given ids and one timestamp, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Request {
    Open,
    Close,
    Write { id: String, micros: i64 },
    Batch { ids: Vec<String>, micros: i64 },
    Append { ids: Vec<String>, micros: i64 },
    Delete { id: String },
    DeleteAtOrBefore { micros: i64 },
    Compact,
    Read,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Response {
    Done(u64),
    AlreadyExists,
    Failed(String),
    Contents(Contents),
}

/// The results of all ways to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Contents {
    all: Vec<String>,
    count: u64,
    /// The results of reading each known id.
    found: Vec<String>,
    page: Vec<String>,
}

fn known_ids() -> impl Iterator<Item = String> {
    (0..40).map(|id| format!("id-{id}"))
}

fn page() -> Query {
    Query::range(at(5), at(20)).order(Order::Descending).limit(7)
}

/// Id and timestamp of each entry.
fn describe(entries: &[AuditEntry]) -> Vec<String> {
    entries.iter().map(|entry| format!("{} {}", entry.id, entry.timestamp)).collect()
}

impl Contents {
    async fn of(storage: &FileStorage) -> Result<Self, StorageError> {
        let mut found = Vec::new();
        for id in known_ids() {
            found.extend(storage.read(&id.parse().unwrap()).await?);
        }
        Ok(Self {
            all: describe(&all(storage).await?),
            count: storage.count().await?,
            found: describe(&found),
            page: describe(&storage.scan(page()).try_collect::<Vec<_>>().await?),
        })
    }

    fn expected(model: &[AuditEntry]) -> Self {
        let mut all = model.to_vec();
        all.sort_by_key(|entry| entry.timestamp);
        let stored = |id: String| model.iter().find(|entry| entry.id.as_str() == id).cloned();
        let found: Vec<_> = known_ids().filter_map(stored).collect();
        Self {
            count: all.len() as u64,
            found: describe(&found),
            all: describe(&all),
            page: describe(&page().select(all)),
        }
    }
}

/// A writer in this process.
struct LocalWriter {
    path: PathBuf,
    evidence: bool,
    storage: FileStorage,
}

impl LocalWriter {
    async fn new(path: &Path, evidence: bool) -> Self {
        Self { path: path.to_owned(), evidence, storage: open(path, evidence).await }
    }

    async fn request(&mut self, request: Request) -> Response {
        match self.execute(request).await {
            Ok(response) => response,
            Err(StorageError::AlreadyExists { .. }) => Response::AlreadyExists,
            Err(error) => Response::Failed(format!("{error:?}")),
        }
    }

    async fn execute(&mut self, request: Request) -> Result<Response, StorageError> {
        let entries =
            |ids: &[String], micros| -> Vec<_> { ids.iter().map(|id| entry(id, micros)).collect() };
        let storage = &self.storage;
        Ok(Response::Done(match request {
            Request::Open => {
                self.storage = open(&self.path, self.evidence).await;
                assert!(self.storage.recovery().is_clean(), "{:?}", self.storage.recovery());
                0
            }
            Request::Close => storage.close().await.map(|()| 0)?,
            Request::Write { id, micros } => storage.write(&entry(&id, micros)).await.map(|_| 1)?,
            Request::Batch { ids, micros } => {
                storage.write_batch(&entries(&ids, micros)).await.map(|()| ids.len() as u64)?
            }
            Request::Append { ids, micros } => {
                storage.append(&entries(&ids, micros)).await.map(|()| ids.len() as u64)?
            }
            Request::Delete { id } => storage.delete(&id.parse().unwrap()).await.map(u64::from)?,
            Request::DeleteAtOrBefore { micros } => storage.delete_at_or_before(at(micros)).await?,
            Request::Compact => storage.compact().await.map(|_| 0)?,
            Request::Read => return Ok(Response::Contents(Contents::of(storage).await?)),
        }))
    }
}

/// A writer in another process: this test program, running [`second_writer_process`].
struct RemoteWriter {
    process: Child,
    requests: ChildStdin,
    responses: BufReader<ChildStdout>,
}

const STORE: &str = "ATTESTRY_MODEL_STORE";
const EVIDENCE: &str = "ATTESTRY_MODEL_EVIDENCE";
/// Marks a response line; the test harness prints to stdout, too.
const RESPONSE: &str = "response: ";

impl RemoteWriter {
    fn new(path: &Path, evidence: bool) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "model::second_writer_process", "--include-ignored", "--nocapture"])
            .env(STORE, path)
            .env(EVIDENCE, evidence.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = process.stdin.take().unwrap();
        let responses = BufReader::new(process.stdout.take().unwrap());
        let mut writer = Self { process, requests, responses };
        assert_eq!(writer.response(), Response::Done(0), "the process is ready");
        writer
    }

    fn request(&mut self, request: &Request) -> Response {
        writeln!(self.requests, "{}", serde_json::to_string(request).unwrap()).unwrap();
        self.response()
    }

    fn response(&mut self) -> Response {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(
                self.responses.read_line(&mut line).unwrap(),
                0,
                "the second writer process died"
            );
            if let Some((_, response)) = line.split_once(RESPONSE) {
                return serde_json::from_str(response).unwrap();
            }
        }
    }
}

impl Drop for RemoteWriter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the other tests as a second process"]
async fn second_writer_process() {
    let Ok(path) = env::var(STORE) else { return };
    let mut writer =
        LocalWriter::new(Path::new(&path), env::var(EVIDENCE).unwrap() == "true").await;
    let mut response = Response::Done(0);
    loop {
        println!("{RESPONSE}{}", serde_json::to_string(&response).unwrap());
        let mut request = String::new();
        if std::io::stdin().read_line(&mut request).unwrap() == 0 {
            return;
        }
        response = writer.request(serde_json::from_str(&request).unwrap()).await;
    }
}

struct Writers {
    local: LocalWriter,
    remote: RemoteWriter,
}

impl Writers {
    async fn request(&mut self, number: usize, request: Request) -> Response {
        match number % 2 {
            0 => self.local.request(request).await,
            _ => self.remote.request(&request),
        }
    }
}

/// Verifies the store against its tree and against all earlier checkpoints.
#[cfg(feature = "evidence")]
async fn assert_verifies(
    storage: &FileStorage,
    checkpoints: &mut Vec<attestry_evidence::SignedCheckpoint>,
    model: &[AuditEntry],
) {
    let found = crate::common::evidence::verify(storage, checkpoints).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.not_covered), (model.len() as u64, 0));
    checkpoints.extend(storage.checkpoint().await.ok());
}

#[cfg(not(feature = "evidence"))]
async fn assert_verifies(_: &FileStorage, _: &mut Vec<()>, _: &[AuditEntry]) {}

/// Writes an entry to the model; returns false if its id is taken by a different entry.
fn write(model: &mut Vec<AuditEntry>, entry: &AuditEntry) -> bool {
    match model.iter().find(|stored| stored.id == entry.id) {
        Some(stored) => stored == entry,
        None => {
            model.push(entry.clone());
            true
        }
    }
}

/// Applies the request to the model and returns the expected response of either writer.
fn expected(model: &mut Vec<AuditEntry>, request: &Request) -> Response {
    let before = model.len();
    match request {
        Request::Write { id, micros } => match write(model, &entry(id, *micros)) {
            true => Response::Done(1),
            false => Response::AlreadyExists,
        },
        Request::Batch { ids, micros } => {
            match ids.iter().all(|id| write(model, &entry(id, *micros))) {
                true => Response::Done(ids.len() as u64),
                false => Response::AlreadyExists,
            }
        }
        Request::Append { ids, micros } => {
            model.extend(ids.iter().map(|id| entry(id, *micros)));
            Response::Done(ids.len() as u64)
        }
        Request::Delete { id } => {
            model.retain(|entry| entry.id.as_str() != id);
            Response::Done((before - model.len()) as u64)
        }
        Request::DeleteAtOrBefore { micros } => {
            model.retain(|entry| entry.timestamp > at(*micros));
            Response::Done((before - model.len()) as u64)
        }
        Request::Open | Request::Close | Request::Compact => Response::Done(0),
        Request::Read => Response::Contents(Contents::expected(model)),
    }
}

async fn run(operations: Vec<Operation>, evidence: bool) {
    let (_guard, path) = folder();
    let local = LocalWriter::new(&path, evidence).await;
    let mut writers = Writers { local, remote: RemoteWriter::new(&path, evidence) };
    let mut checkpoints = Vec::new();
    let reader = open_read_only(&path).await;
    let mut model: Vec<AuditEntry> = Vec::new();
    let mut next_id = 0;
    for (number, operation) in operations.into_iter().enumerate() {
        let what = format!("{number}: {operation:?}");
        let name = |id: u8| format!("id-{id}");
        let requests = match operation {
            Operation::Write { id, micros } => vec![Request::Write { id: name(id), micros }],
            Operation::Batch { ids, micros } => {
                vec![Request::Batch { ids: ids.into_iter().map(name).collect(), micros }]
            }
            Operation::Append { count, micros } => {
                let new = next_id..next_id + u32::from(count);
                next_id = new.end;
                vec![Request::Append { ids: new.map(|n| format!("next_id-{n}")).collect(), micros }]
            }
            Operation::Delete { id } => vec![Request::Delete { id: name(id) }],
            Operation::DeleteAtOrBefore { micros } => vec![Request::DeleteAtOrBefore { micros }],
            Operation::Compact => vec![Request::Compact],
            Operation::Reopen => vec![Request::Close, Request::Open],
            Operation::LoseIndexes => {
                // Both writers are closed when the index files disappear.
                for writer in 0..2 {
                    assert_eq!(
                        writers.request(writer, Request::Close).await,
                        Response::Done(0),
                        "{what}"
                    );
                }
                let _ = fs::remove_dir_all(path.join(".attestry/index"));
                assert_eq!(
                    writers.request(number + 1, Request::Open).await,
                    Response::Done(0),
                    "{what}"
                );
                vec![Request::Open]
            }
        };
        for request in requests {
            let expected = expected(&mut model, &request);
            assert_eq!(writers.request(number, request).await, expected, "{what}");
        }
        if number % 5 == 0 {
            let expected = expected(&mut model, &Request::Read);
            for writer in 0..2 {
                let seen = writers.request(writer, Request::Read).await;
                assert_eq!(seen, expected, "{what}, writer {writer}");
            }
            let seen = Response::Contents(Contents::of(&reader).await.unwrap());
            assert_eq!(seen, expected, "{what}, reader");
            if evidence {
                assert_verifies(&writers.local.storage, &mut checkpoints, &model).await;
            }
        }
    }
    let expected = expected(&mut model, &Request::Read);
    for number in 0..2 {
        assert_eq!(
            writers.request(number, Request::Read).await,
            expected,
            "at the end, writer {number}"
        );
    }
    assert_eq!(all(&reader).await.unwrap().len(), model.len());
    let stored = all(&writers.local.storage).await.unwrap();
    assert!(stored.iter().all(|entry| model.contains(entry)));
    if evidence {
        assert_verifies(&reader, &mut checkpoints, &model).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn two_processes_and_a_reader_agree_with_the_model(operations in proptest::collection::vec(operation(), 1..60)) {
        let run = run(operations, false);
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run);
    }

    #[cfg(feature = "evidence")]
    #[test]
    fn tree_follows_every_operation(operations in proptest::collection::vec(operation(), 1..60)) {
        let run = run(operations, true);
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run);
    }
}
