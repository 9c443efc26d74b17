//! Random sequences of operations by two owners, each in a process of its own, and a reader, with
//! reopening, rotation and lost indexes in between, against a list in memory.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of a test; one process answers the other

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs};

use attestry_core::{AuditEntry, Order, Query, StorageBackend, StorageError, Timestamp};
use attestry_file::FileStorage;
use common::{all, entry, folder, open_read_only};
use futures_util::TryStreamExt;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone)]
enum Operation {
    Write { id: u8, moment: i64 },
    Batch { ids: Vec<u8>, moment: i64 },
    Append { count: u8, moment: i64 },
    Delete { id: u8 },
    DeleteUntil { moment: i64 },
    Compact,
    Reopen,
    LoseIndexes,
}

fn operation() -> impl Strategy<Value = Operation> {
    let moment = 0..30i64;
    prop_oneof![
        4 => (any::<u8>(), moment.clone()).prop_map(|(id, moment)| Operation::Write { id: id % 40, moment }),
        2 => (proptest::collection::vec(0..40u8, 0..12), moment.clone())
            .prop_map(|(ids, moment)| Operation::Batch { ids, moment }),
        3 => (1..20u8, moment.clone()).prop_map(|(count, moment)| Operation::Append { count, moment }),
        3 => (0..40u8).prop_map(|id| Operation::Delete { id }),
        1 => moment.prop_map(|moment| Operation::DeleteUntil { moment }),
        1 => Just(Operation::Compact),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::LoseIndexes),
    ]
}

fn at(moment: i64) -> Timestamp {
    Timestamp::from_unix_micros(moment).unwrap()
}

async fn open(path: &Path, evidence: bool) -> FileStorage {
    let builder = FileStorage::builder(path).rotation_size_bytes(4_000);
    #[cfg(feature = "evidence")]
    let builder = if evidence { common::evidence::kept(builder) } else { builder };
    #[cfg(not(feature = "evidence"))]
    assert!(!evidence);
    builder.open().await.unwrap()
}

/// What an owner is asked to do. Entries are told by their ids and one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Task {
    Open,
    Close,
    Write { id: String, moment: i64 },
    Batch { ids: Vec<String>, moment: i64 },
    Append { ids: Vec<String>, moment: i64 },
    Delete { id: String },
    DeleteUntil { moment: i64 },
    Compact,
    Look,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    Done(u64),
    AlreadyExists,
    Failed(String),
    Seen(Seen),
}

/// What the ways to read tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    all: Vec<String>,
    count: u64,
    /// The ids that are found when they are asked for.
    found: Vec<String>,
    page: Vec<String>,
}

fn asked_for() -> impl Iterator<Item = String> {
    (0..40).map(|id| format!("id-{id}"))
}

fn page() -> Query {
    Query::range(at(5), at(20)).order(Order::Descending).limit(7)
}

/// An entry by what tells it from the others here.
fn told(entries: &[AuditEntry]) -> Vec<String> {
    entries.iter().map(|entry| format!("{} {}", entry.id, entry.timestamp)).collect()
}

impl Seen {
    async fn of(storage: &FileStorage) -> Result<Self, StorageError> {
        let mut found = Vec::new();
        for id in asked_for() {
            found.extend(storage.read(&id.parse().unwrap()).await?);
        }
        Ok(Self {
            all: told(&all(storage).await?),
            count: storage.count().await?,
            found: told(&found),
            page: told(&storage.scan(page()).try_collect::<Vec<_>>().await?),
        })
    }

    fn expected(model: &[AuditEntry]) -> Self {
        let mut all = model.to_vec();
        all.sort_by_key(|entry| entry.timestamp);
        let stored = |id: String| model.iter().find(|entry| entry.id.as_str() == id).cloned();
        let found: Vec<_> = asked_for().filter_map(stored).collect();
        Self {
            count: all.len() as u64,
            found: told(&found),
            all: told(&all),
            page: told(&page().select(all)),
        }
    }
}

/// An owner of the store in this process.
struct Here {
    path: PathBuf,
    evidence: bool,
    storage: FileStorage,
}

impl Here {
    async fn new(path: &Path, evidence: bool) -> Self {
        Self { path: path.to_owned(), evidence, storage: open(path, evidence).await }
    }

    async fn asked(&mut self, task: Task) -> Answer {
        match self.done(task).await {
            Ok(answer) => answer,
            Err(StorageError::AlreadyExists { .. }) => Answer::AlreadyExists,
            Err(error) => Answer::Failed(format!("{error:?}")),
        }
    }

    async fn done(&mut self, task: Task) -> Result<Answer, StorageError> {
        let entries =
            |ids: &[String], moment| -> Vec<_> { ids.iter().map(|id| entry(id, moment)).collect() };
        let storage = &self.storage;
        Ok(Answer::Done(match task {
            Task::Open => {
                self.storage = open(&self.path, self.evidence).await;
                assert!(self.storage.recovery().is_clean(), "{:?}", self.storage.recovery());
                0
            }
            Task::Close => storage.close().await.map(|()| 0)?,
            Task::Write { id, moment } => storage.write(&entry(&id, moment)).await.map(|_| 1)?,
            Task::Batch { ids, moment } => {
                storage.write_batch(&entries(&ids, moment)).await.map(|()| ids.len() as u64)?
            }
            Task::Append { ids, moment } => {
                storage.append(&entries(&ids, moment)).await.map(|()| ids.len() as u64)?
            }
            Task::Delete { id } => storage.delete(&id.parse().unwrap()).await.map(u64::from)?,
            Task::DeleteUntil { moment } => storage.delete_at_or_before(at(moment)).await?,
            Task::Compact => storage.compact().await.map(|_| 0)?,
            Task::Look => return Ok(Answer::Seen(Seen::of(storage).await?)),
        }))
    }
}

/// An owner of the store in another process: this program, of which [`the_other_owner`] runs.
struct There {
    process: Child,
    tasks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

const STORE: &str = "ATTESTRY_MODEL_STORE";
const EVIDENCE: &str = "ATTESTRY_MODEL_EVIDENCE";
/// What an answer begins with; the harness of tests says things, too.
const ANSWER: &str = "answer: ";

impl There {
    fn new(path: &Path, evidence: bool) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_other_owner", "--include-ignored", "--nocapture"])
            .env(STORE, path)
            .env(EVIDENCE, evidence.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let tasks = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut owner = Self { process, tasks, answers };
        assert_eq!(owner.answer(), Answer::Done(0), "it is ready");
        owner
    }

    fn asked(&mut self, task: &Task) -> Answer {
        writeln!(self.tasks, "{}", serde_json::to_string(task).unwrap()).unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Answer {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the other owner died");
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return serde_json::from_str(answer).unwrap();
            }
        }
    }
}

impl Drop for There {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other tests run it in a process of its own"]
async fn the_other_owner() {
    let Ok(path) = env::var(STORE) else { return };
    let mut owner = Here::new(Path::new(&path), env::var(EVIDENCE).unwrap() == "true").await;
    let mut answer = Answer::Done(0);
    loop {
        println!("{ANSWER}{}", serde_json::to_string(&answer).unwrap());
        let mut task = String::new();
        if std::io::stdin().read_line(&mut task).unwrap() == 0 {
            return;
        }
        answer = owner.asked(serde_json::from_str(&task).unwrap()).await;
    }
}

struct Owners {
    here: Here,
    there: There,
}

impl Owners {
    async fn asked(&mut self, number: usize, task: Task) -> Answer {
        match number % 2 {
            0 => self.here.asked(task).await,
            _ => self.there.asked(&task),
        }
    }
}

/// The store is as its tree says, and grew out of every checkpoint that was ever signed.
#[cfg(feature = "evidence")]
async fn is_proven(storage: &FileStorage, checkpoints: &mut Vec<String>, model: &[AuditEntry]) {
    let found = common::evidence::verify(storage, checkpoints).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.not_covered), (model.len() as u64, 0));
    checkpoints.extend(storage.checkpoint().await.ok());
}

#[cfg(not(feature = "evidence"))]
async fn is_proven(_: &FileStorage, _: &mut Vec<String>, _: &[AuditEntry]) {}

/// Writes an entry to the model; whether it may stand there.
fn write(model: &mut Vec<AuditEntry>, entry: &AuditEntry) -> bool {
    match model.iter().find(|stored| stored.id == entry.id) {
        Some(stored) => stored == entry,
        None => {
            model.push(entry.clone());
            true
        }
    }
}

/// What the operation is to answer, of whoever does it, and what is in the store then.
fn expected(model: &mut Vec<AuditEntry>, task: &Task) -> Answer {
    let before = model.len();
    match task {
        Task::Write { id, moment } => match write(model, &entry(id, *moment)) {
            true => Answer::Done(1),
            false => Answer::AlreadyExists,
        },
        Task::Batch { ids, moment } => match ids.iter().all(|id| write(model, &entry(id, *moment)))
        {
            true => Answer::Done(ids.len() as u64),
            false => Answer::AlreadyExists,
        },
        Task::Append { ids, moment } => {
            model.extend(ids.iter().map(|id| entry(id, *moment)));
            Answer::Done(ids.len() as u64)
        }
        Task::Delete { id } => {
            model.retain(|entry| entry.id.as_str() != id);
            Answer::Done((before - model.len()) as u64)
        }
        Task::DeleteUntil { moment } => {
            model.retain(|entry| entry.timestamp > at(*moment));
            Answer::Done((before - model.len()) as u64)
        }
        Task::Open | Task::Close | Task::Compact => Answer::Done(0),
        Task::Look => Answer::Seen(Seen::expected(model)),
    }
}

async fn run(operations: Vec<Operation>, evidence: bool) {
    let (_guard, path) = folder();
    let here = Here::new(&path, evidence).await;
    let mut owners = Owners { here, there: There::new(&path, evidence) };
    let mut checkpoints = Vec::new();
    let reader = open_read_only(&path).await;
    let mut model: Vec<AuditEntry> = Vec::new();
    let mut fresh = 0;
    for (number, operation) in operations.into_iter().enumerate() {
        let what = format!("{number}: {operation:?}");
        let name = |id: u8| format!("id-{id}");
        let tasks = match operation {
            Operation::Write { id, moment } => vec![Task::Write { id: name(id), moment }],
            Operation::Batch { ids, moment } => {
                vec![Task::Batch { ids: ids.into_iter().map(name).collect(), moment }]
            }
            Operation::Append { count, moment } => {
                let new = fresh..fresh + u32::from(count);
                fresh = new.end;
                vec![Task::Append { ids: new.map(|n| format!("fresh-{n}")).collect(), moment }]
            }
            Operation::Delete { id } => vec![Task::Delete { id: name(id) }],
            Operation::DeleteUntil { moment } => vec![Task::DeleteUntil { moment }],
            Operation::Compact => vec![Task::Compact],
            Operation::Reopen => vec![Task::Close, Task::Open],
            Operation::LoseIndexes => {
                // As if a disk had lost them, with nobody at work.
                for owner in 0..2 {
                    assert_eq!(owners.asked(owner, Task::Close).await, Answer::Done(0), "{what}");
                }
                let _ = fs::remove_dir_all(path.join(".attestry/index"));
                assert_eq!(owners.asked(number + 1, Task::Open).await, Answer::Done(0), "{what}");
                vec![Task::Open]
            }
        };
        for task in tasks {
            let expected = expected(&mut model, &task);
            assert_eq!(owners.asked(number, task).await, expected, "{what}");
        }
        if number % 5 == 0 {
            let expected = expected(&mut model, &Task::Look);
            for owner in 0..2 {
                let seen = owners.asked(owner, Task::Look).await;
                assert_eq!(seen, expected, "{what}, says {owner}");
            }
            let seen = Answer::Seen(Seen::of(&reader).await.unwrap());
            assert_eq!(seen, expected, "{what}, says the reader");
            if evidence {
                is_proven(&owners.here.storage, &mut checkpoints, &model).await;
            }
        }
    }
    let expected = expected(&mut model, &Task::Look);
    for owner in 0..2 {
        assert_eq!(owners.asked(owner, Task::Look).await, expected, "at the end, says {owner}");
    }
    assert_eq!(all(&reader).await.unwrap().len(), model.len());
    let stored = all(&owners.here.storage).await.unwrap();
    assert!(stored.iter().all(|entry| model.contains(entry)));
    if evidence {
        is_proven(&reader, &mut checkpoints, &model).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn two_processes_and_a_reader_agree_with_a_list(operations in proptest::collection::vec(operation(), 1..60)) {
        let run = run(operations, false);
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run);
    }

    #[cfg(feature = "evidence")]
    #[test]
    fn the_tree_follows_whatever_they_do(operations in proptest::collection::vec(operation(), 1..60)) {
        let run = run(operations, true);
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run);
    }
}
