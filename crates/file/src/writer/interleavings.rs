//! The committer under many orders of events, chosen by a scheduler: `cargo xtask torture
//! interleavings`. Tokio's semaphore and oneshot channel count as one step each; their own insides
//! are tokio's to check.
#![allow(clippy::unwrap_used)] // a test, though not by the name that clippy knows

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use attestry_core::{AuditEntry, StorageBackend, StorageError, Timestamp, line};
use futures_util::FutureExt;
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};

use super::batch::Lines;
use super::queue::{Job, Queue};
use super::sync::{Condvar, Mutex, thread};
use crate::observer::LineEnd;
use crate::{Durability, FileStorage};

/// Runs `test` in `rounds` orders: half of them wholly random, half with a few changes of thread
/// at places that matter, which finds rare ones sooner.
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

/// As many orders as asked for, or `usual`.
fn rounds(usual: usize) -> usize {
    let asked = std::env::var("ATTESTRY_INTERLEAVINGS").ok();
    asked.and_then(|factor| factor.parse::<usize>().ok()).unwrap_or(1).max(1) * usual
}

fn entry(caller: usize, number: usize) -> AuditEntry {
    let id = format!("{caller}-{number}").parse().unwrap();
    let at = Timestamp::from_unix_micros(1_700_000_000_000_000 + number as i64).unwrap();
    AuditEntry::new(id, at, "in".into(), "out".into())
}

fn lines(text: String) -> Lines {
    let end = LineEnd { at: text.len(), leaf: None };
    Lines { ends: vec![end], bytes: text.into_bytes(), checked_ids: Vec::new() }
}

/// What the queue promises whoever waits at either end of it.
trait Handshake: Send + Sync + 'static {
    fn submit(&self) -> impl Future<Output = Result<(), StorageError>>;
    fn take(&self) -> Option<VecDeque<Job>>;
    fn close(&self);
}

impl Handshake for Queue {
    async fn submit(&self) -> Result<(), StorageError> {
        Queue::submit(self, |answer| Job::Flush { answer }).await
    }

    fn take(&self) -> Option<VecDeque<Job>> {
        Queue::take(self, None)
    }

    fn close(&self) {
        Queue::close(self);
    }
}

/// Three callers, one that closes, one that serves: every call returns, and none that was taken
/// in is told otherwise.
fn every_call_returns(queue: impl Handshake) {
    let queue = Arc::new(queue);
    let served = Arc::new(Mutex::new(0));
    let server = {
        let (queue, served) = (Arc::clone(&queue), Arc::clone(&served));
        thread::spawn(move || {
            while let Some(jobs) = queue.take() {
                for job in jobs {
                    let Job::Flush { answer } = job else { unreachable!("nothing else is sent") };
                    *served.lock().unwrap() += 1;
                    drop(answer.send(Ok(())));
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
    let mut answered = callers.into_iter().map(|caller| caller.join().unwrap());
    // The last caller meets a queue that is being closed.
    let early: usize = answered.by_ref().take(2).sum();
    queue.close();
    let all = early + answered.sum::<usize>();
    server.join().unwrap();
    assert_eq!(early, 4, "refused by an open queue");
    assert_eq!(*served.lock().unwrap(), all);
}

#[test]
fn no_caller_waits_for_ever() {
    check(rounds(20_000), || every_call_returns(Queue::new()));
}

/// The mistake the queue must not make: saying that it sleeps only when it has let go of the lock.
#[derive(Default)]
struct FallsAsleepLate {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    parked: Mutex<bool>,
    work: Condvar,
}

impl Handshake for FallsAsleepLate {
    async fn submit(&self) -> Result<(), StorageError> {
        let (answer, receiver) = tokio::sync::oneshot::channel();
        {
            let mut state = self.jobs.lock().unwrap();
            if state.1 {
                return Err(StorageError::Closed);
            }
            state.0.push_back(Job::Flush { answer });
        }
        if std::mem::take(&mut *self.parked.lock().unwrap()) {
            self.work.notify_one();
        }
        receiver.await.unwrap_or(Err(StorageError::Closed))
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

/// That this check can fail at all.
#[test]
#[should_panic(expected = "deadlock")]
fn a_lost_wake_up_is_found() {
    check(20_000, || every_call_returns(FallsAsleepLate::default()));
}

#[test]
fn waiting_lines_stay_within_their_room_and_in_order() {
    check(rounds(5_000), || {
        let queue = Arc::new(Queue::with_room(10));
        let callers: Vec<_> = (0..3)
            .map(|caller| {
                let queue = Arc::clone(&queue);
                // One line is longer than all the room there is.
                let length = [3, 6, 12][caller];
                thread::spawn(move || {
                    for number in 0..3 {
                        let text = format!("{caller}{number}{}", "x".repeat(length - 2));
                        // A caller that goes away in the midst: its line is there or not.
                        if number == 1 {
                            let _ = queue.append(lines(text), Lines::whole).now_or_never();
                        } else {
                            block_on(queue.append(lines(text), Lines::whole)).unwrap();
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
                        let Job::Append(batch) = job else { unreachable!("nothing else is sent") };
                        let waiting: Vec<_> = batch.lines().map(String::from_utf8).collect();
                        let waiting: Vec<String> =
                            waiting.into_iter().map(Result::unwrap).collect();
                        let room = waiting.iter().map(|line| line.len().min(10)).sum::<usize>();
                        assert!(room <= 10, "{waiting:?} wait at once");
                        stored.extend(waiting);
                        let before = queue.calls();
                        queue.note(batch.stored().tell().1, before);
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

/// Enough callers that a batch is gathered for, and more of them than come back: whoever gathers
/// must learn that nobody is left to wait for. Waiting has no end by time here.
#[test]
fn nobody_gathers_for_callers_who_are_gone() {
    check(rounds(5_000), || {
        let queue = Arc::new(Queue::new());
        let callers: Vec<_> = (0..5)
            .map(|caller| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    let line = lines(format!("{caller}"));
                    match caller {
                        0 => (0..2).for_each(|_| {
                            block_on(queue.append(&line, |line| line.whole())).unwrap()
                        }),
                        1 => drop(queue.append(&line, |line| line.whole()).now_or_never()),
                        _ => block_on(queue.append(&line, |line| line.whole())).unwrap(),
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
                        let Job::Append(batch) = job else { unreachable!("nothing else is sent") };
                        stored += batch.lines().count();
                        let before = queue.calls();
                        queue.note(batch.stored().tell().1, before);
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

/// The caller, and the number of the entry, that goes away in the midst.
const GIVEN_UP: (usize, usize) = (0, 1);

/// What the files of `folder` hold: how often each id is there, and the order of each caller's.
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

/// Appends of several callers, an erasure, a flush, callers that go away, and one that closes.
fn the_store_holds_what_it_said(durability: Durability) {
    let folder = tempfile::tempdir().unwrap();
    let builder = FileStorage::builder(folder.path()).durability(durability);
    let storage = Arc::new(FileStorage::open_blocking(&builder).unwrap());
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
                        GIVEN_UP => storage.append(&entries).now_or_never(),
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
    assert_eq!(before, found, "written behind close");
    assert!(!found.contains_key(&9), "an erased entry is there");
    let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
    for (caller, numbers) in &found {
        // A call that was given up may be done behind a later one; otherwise a caller's are in order.
        let (given_up, mut numbers): (Vec<_>, Vec<_>) =
            numbers.iter().partition(|number| (*caller, **number) == GIVEN_UP);
        assert!(numbers.is_sorted_by(|a, b| a < b), "caller {caller} stored {numbers:?}");
        numbers.retain(|number| !acknowledged.contains(&(*caller, *number)));
        assert!(numbers.is_empty(), "caller {caller} stored {numbers:?}, which were refused");
        assert!(given_up.len() < 2, "caller {caller} stored the same twice");
    }
    for (caller, number) in acknowledged.iter() {
        let there = found.get(caller).is_some_and(|numbers| numbers.contains(number));
        assert!(there, "{caller}-{number} was acknowledged and is not there");
    }
}

#[test]
fn what_was_acknowledged_is_stored_once_and_in_order() {
    check(rounds(600), || the_store_holds_what_it_said(Durability::Sync));
}

#[test]
fn so_it_is_where_callers_write_for_themselves() {
    check(rounds(600), || the_store_holds_what_it_said(Durability::Buffered));
}
