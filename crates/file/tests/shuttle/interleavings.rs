//! The writer under many orders of events, chosen by a scheduler: `cargo xtask torture interleavings`.
//! Operations of Tokio's semaphore and oneshot channel count as one step each.
#![allow(clippy::unwrap_used)] // clippy does not recognise this module as a test

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use attestry_core::{AuditEntry, StorageBackend, StorageError, Timestamp, line};
use futures_util::FutureExt;
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};

use super::EncodedLines;
use super::job::Job;
use super::queue::Queue;
use super::sync::{Condvar, Mutex, thread};
use crate::observer::LineEnd;
use crate::{Durability, FileStorage};

/// Runs `test` in `rounds` orders: half of them random, half by probabilistic concurrency testing, which
/// finds bugs sooner that need few thread switches at particular places.
fn check(rounds: usize, test: impl Fn() + Send + Sync + 'static) {
    let test = Arc::new(test);
    let schedulers: [Box<dyn Scheduler + Send>; 2] =
        [Box::new(RandomScheduler::new(rounds / 2)), Box::new(PctScheduler::new(3, rounds / 2))];
    for scheduler in schedulers {
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        config.failure_persistence = FailurePersistence::Print;
        let test = Arc::clone(&test);
        Runner::new(scheduler, config).run(move || test());
    }
}

/// `default` times the factor in `ATTESTRY_INTERLEAVINGS`.
fn rounds(default: usize) -> usize {
    let factor = std::env::var("ATTESTRY_INTERLEAVINGS").ok();
    factor.and_then(|factor| factor.parse::<usize>().ok()).unwrap_or(1).max(1) * default
}

fn entry(caller: usize, number: usize) -> AuditEntry {
    let id = format!("{caller}-{number}").parse().unwrap();
    let at = Timestamp::from_unix_micros(1_700_000_000_000_000 + number as i64).unwrap();
    AuditEntry::new(id, at, "in".into(), "out".into())
}

fn lines(text: String) -> EncodedLines {
    let end = LineEnd { at: text.len(), terms: 0, leaf: None, key: None };
    EncodedLines { line_ends: vec![end], bytes: text.into_bytes(), ..EncodedLines::default() }
}

/// The two ends of a queue.
trait Handshake: Send + Sync + 'static {
    fn submit(&self) -> impl Future<Output = Result<(), StorageError>>;
    fn take(&self) -> Option<VecDeque<Job>>;
    fn close(&self);
}

impl Handshake for Queue {
    async fn submit(&self) -> Result<(), StorageError> {
        Queue::submit(self, |responder| Job::Flush { responder }).await
    }

    fn take(&self) -> Option<VecDeque<Job>> {
        Queue::take(self, None)
    }

    fn close(&self) {
        Queue::close(self);
    }
}

/// Three callers, one of them while the queue is closed, and a server: every call returns, and succeeds if
/// and only if its job was executed.
fn every_call_returns(queue: impl Handshake) {
    let queue = Arc::new(queue);
    let served = Arc::new(Mutex::new(0));
    let server = {
        let (queue, served) = (Arc::clone(&queue), Arc::clone(&served));
        thread::spawn(move || {
            while let Some(jobs) = queue.take() {
                for job in jobs {
                    let Job::Flush { responder } = job else {
                        unreachable!("only flushes are sent")
                    };
                    *served.lock().unwrap() += 1;
                    drop(responder.send(Ok(())));
                }
            }
        })
    };
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || (0..2).filter(|_| block_on(queue.submit()).is_ok()).count())
        })
        .collect();
    let mut succeeded = callers.into_iter().map(|caller| caller.join().unwrap());
    // The last caller runs while the queue is closed.
    let early: usize = succeeded.by_ref().take(2).sum();
    queue.close();
    let all = early + succeeded.sum::<usize>();
    server.join().unwrap();
    assert_eq!(early, 4, "refused by an open queue");
    assert_eq!(*served.lock().unwrap(), all);
}

#[test]
fn every_call_returns_in_every_order() {
    check(rounds(20_000), || every_call_returns(Queue::new()));
}

/// A queue with a lost wake-up: it sets `parked` after it has released the lock on the jobs.
#[derive(Default)]
struct LostWakeUp {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    parked: Mutex<bool>,
    work: Condvar,
}

impl Handshake for LostWakeUp {
    async fn submit(&self) -> Result<(), StorageError> {
        let (responder, response) = tokio::sync::oneshot::channel();
        {
            let mut state = self.jobs.lock().unwrap();
            if state.1 {
                return Err(StorageError::Closed);
            }
            state.0.push_back(Job::Flush { responder });
        }
        if std::mem::take(&mut *self.parked.lock().unwrap()) {
            self.work.notify_one();
        }
        response.await.unwrap_or(Err(StorageError::Closed))
    }

    fn take(&self) -> Option<VecDeque<Job>> {
        loop {
            let mut state = self.jobs.lock().unwrap();
            if !state.0.is_empty() {
                return Some(std::mem::take(&mut state.0));
            }
            if state.1 {
                return None;
            }
            drop(state);
            let mut parked = self.parked.lock().unwrap();
            *parked = true;
            drop(self.work.wait(parked).unwrap());
        }
    }

    fn close(&self) {
        self.jobs.lock().unwrap().1 = true;
        *self.parked.lock().unwrap() = false;
        self.work.notify_one();
    }
}

/// This check can fail.
#[test]
#[should_panic(expected = "deadlock")]
fn lost_wake_up_is_found() {
    check(20_000, || every_call_returns(LostWakeUp::default()));
}

#[test]
fn queued_lines_stay_within_capacity_and_in_order() {
    check(rounds(5_000), || {
        let queue = Arc::new(Queue::with_capacity(10));
        let callers: Vec<_> = (0..3)
            .map(|caller| {
                let queue = Arc::clone(&queue);
                // One line is longer than the capacity.
                let length = [3, 6, 12][caller];
                thread::spawn(move || {
                    for number in 0..3 {
                        let text = format!("{caller}{number}{}", "x".repeat(length - 2));
                        // A call that is dropped: its line is stored or not.
                        if number == 1 {
                            let _ =
                                queue.append(lines(text), EncodedLines::as_chunk).now_or_never();
                        } else {
                            block_on(queue.append(lines(text), EncodedLines::as_chunk)).unwrap();
                        }
                    }
                })
            })
            .collect();
        let server = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let mut stored = Vec::new();
                while let Some(jobs) = queue.take(None) {
                    for job in jobs {
                        let Job::Append(batch) = job else { unreachable!("only appends are sent") };
                        let queued: Vec<String> =
                            batch.lines().map(|line| String::from_utf8(line).unwrap()).collect();
                        let room = queued.iter().map(|line| line.len().min(10)).sum::<usize>();
                        assert!(room <= 10, "{queued:?} are queued at once");
                        stored.extend(queued);
                        complete(&queue, batch);
                    }
                }
                stored
            })
        };
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        queue.close();
        let stored = server.join().unwrap();
        for caller in 0..3 {
            let of_caller = stored.iter().filter_map(|line| {
                line.strip_prefix(&caller.to_string()).map(|rest| rest[..1].to_owned())
            });
            let numbers: String = of_caller.collect();
            assert!(numbers == "012" || numbers == "02", "caller {caller} stored {numbers}");
        }
    });
}

fn complete(queue: &Queue, batch: super::batch::Batch) {
    let mut acks = batch.stored();
    let completion = acks.completion();
    queue.reuse(acks.take_buffers());
    acks.send();
    queue.completed(&completion);
}

/// Enough callers to delay a commit, most of which do not append again: the delay must end without a
/// timeout, of which this scheduler knows none.
#[test]
fn no_commit_is_delayed_for_waiters_that_are_gone() {
    check(rounds(5_000), || {
        let queue = Arc::new(Queue::new());
        let callers: Vec<_> = (0..5)
            .map(|caller| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    let line = lines(format!("{caller}"));
                    match caller {
                        0 => (0..2).for_each(|_| {
                            block_on(queue.append(&line, |line| line.as_chunk())).unwrap()
                        }),
                        1 => drop(queue.append(&line, |line| line.as_chunk()).now_or_never()),
                        _ => block_on(queue.append(&line, |line| line.as_chunk())).unwrap(),
                    }
                })
            })
            .collect();
        let server = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let mut stored = 0;
                while let Some(jobs) = queue.take(None) {
                    for job in jobs {
                        let Job::Append(batch) = job else { unreachable!("only appends are sent") };
                        stored += batch.lines().count();
                        complete(&queue, batch);
                    }
                }
                stored
            })
        };
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        queue.close();
        let stored = server.join().unwrap();
        assert!(stored == 6, "{stored} lines of 6");
    });
}

/// Caller and number of the entry whose call is dropped.
const DROPPED: (usize, usize) = (0, 1);

/// The numbers of the entries in the files of `folder`, by caller, in order.
fn stored(folder: &Path) -> BTreeMap<usize, Vec<usize>> {
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let content = std::fs::read(path).unwrap();
        let written =
            content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        for line in written {
            let id = line::decode(line).unwrap().id;
            let (caller, number) = id.as_str().split_once('-').unwrap();
            found.entry(caller.parse().unwrap()).or_default().push(number.parse().unwrap());
        }
    }
    found
}

/// Appends of several callers, one of them dropped, an erasure, a flush, and a close: what was
/// acknowledged is stored once and in order, and nothing that was refused.
fn store_holds_what_it_acknowledged(durability: Durability) {
    let folder = tempfile::tempdir().unwrap();
    let builder = FileStorage::builder(folder.path()).durability(durability);
    let storage = Arc::new(FileStorage::open_blocking(&builder.settings).unwrap());
    block_on(storage.append(&[entry(9, 0)])).unwrap();
    let acknowledged: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    let callers: Vec<_> = (0..3)
        .map(|caller| {
            let storage = Arc::clone(&storage);
            let acknowledged = Arc::clone(&acknowledged);
            thread::spawn(move || {
                for number in 0..3 {
                    let entries = [entry(caller, number)];
                    let outcome = match (caller, number) {
                        DROPPED => storage.append(&entries).now_or_never(),
                        (1, _) => Some(block_on(storage.write(&entries[0])).map(drop)),
                        _ => Some(block_on(storage.append(&entries))),
                    };
                    match outcome {
                        Some(Ok(())) => acknowledged.lock().unwrap().push((caller, number)),
                        Some(Err(StorageError::Closed)) | None => {}
                        Some(Err(error)) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let erased = block_on(storage.delete(&"9-0".parse().unwrap())).unwrap();
    assert!(erased);
    block_on(storage.flush()).unwrap();
    block_on(storage.close()).unwrap();
    let before = stored(folder.path());
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    let found = stored(folder.path());
    assert_eq!(before, found, "written after close");
    assert!(!found.contains_key(&9), "an erased entry is stored");
    let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
    for (caller, numbers) in &found {
        // A call that was dropped may be executed after a later one; the others of a caller are in order.
        let (dropped, mut numbers): (Vec<_>, Vec<_>) =
            numbers.iter().partition(|number| (*caller, **number) == DROPPED);
        assert!(numbers.is_sorted_by(|a, b| a < b), "caller {caller} stored {numbers:?}");
        numbers.retain(|number| !acknowledged.contains(&(*caller, *number)));
        assert!(numbers.is_empty(), "caller {caller} stored {numbers:?}, which were refused");
        assert!(dropped.len() < 2, "caller {caller} stored the same twice");
    }
    for (caller, number) in acknowledged.iter() {
        let is_stored = found.get(caller).is_some_and(|numbers| numbers.contains(number));
        assert!(is_stored, "{caller}-{number} was acknowledged and is not stored");
    }
}

#[test]
fn acknowledged_entries_are_stored_once_and_in_order() {
    check(rounds(600), || store_holds_what_it_acknowledged(Durability::Sync));
}

#[test]
fn the_same_holds_for_direct_appends() {
    check(rounds(600), || store_holds_what_it_acknowledged(Durability::Buffered));
}
