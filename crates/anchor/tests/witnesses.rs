//! Witnesses through the dispatcher: cosignatures, conflicts, faults, and contradictions.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use attestry_anchor::{AnchorStatus, Dispatcher, HttpClient, UnusablePolicy, Witnesses};
use attestry_core::StorageBackend as _;
use attestry_evidence::{Checkpoint, Hash, Policy, PolicyFile, leaf_hash};
use attestry_file::{FileStorage, VerifyOptions};
use support::server::Response;
use support::witness::TestWitness;
use support::{grow, log_key, open, quick, store, until};

const MINUTE: Duration = Duration::from_secs(60);

fn start(store: &Arc<FileStorage>, witnesses: &[&TestWitness], needed: usize) -> Dispatcher {
    let clients = witnesses.iter().map(|witness| witness.client());
    let group = Witnesses::new(log_key(), clients, needed, HttpClient::new().unwrap()).unwrap();
    quick().anchor(group).timeout(Duration::from_secs(5)).start(store.clone()).unwrap()
}

/// The leaves of the newest checkpoint that `needed` of these witnesses cosigned.
async fn cosigned(store: &FileStorage, witnesses: &[&TestWitness], needed: usize) -> Option<u64> {
    let keys = witnesses.iter().map(|witness| witness.client().key().clone());
    let policy = Policy::new(log_key()).with_witnesses(keys, needed).unwrap();
    let found = store.verify(VerifyOptions::new().policy(policy)).await.unwrap();
    found.witnessed.map(|witnessed| witnessed.leaves)
}

fn status(dispatcher: &Dispatcher) -> AnchorStatus {
    dispatcher.status().remove(0)
}

#[tokio::test]
async fn each_checkpoint_is_cosigned_and_stored() {
    let (_guard, store) = store().await;
    let (one, two) = (TestWitness::start("w.example/one"), TestWitness::start("w.example/two"));
    let dispatcher = start(&store, &[&one, &two], 2);
    for size in [3, 7, 300, 301] {
        let before = store.latest_checkpoint().await.unwrap().map_or(0, |_| one.size());
        grow(&store, usize::try_from(size - before).unwrap()).await;
        until("both have cosigned", || one.size() == size && two.size() == size).await;
        until("it is recorded", || status(&dispatcher).held.is_some_and(|h| h.leaves == size))
            .await;
        assert_eq!(cosigned(&store, &[&one, &two], 2).await, Some(size));
    }
    let last = dispatcher.close(MINUTE).await.remove(0);
    assert!(last.failed == 0 && last.last_error.is_none() && !last.pending, "{last:?}");
    assert!(last.age().unwrap() < MINUTE);
}

#[tokio::test]
async fn restarted_client_learns_the_size_of_a_witness() {
    let (guard, store) = store().await;
    let witness = TestWitness::start("w.example/one");
    grow(&store, 5).await;
    start(&store, &[&witness], 1).close(MINUTE).await;
    assert_eq!((witness.size(), witness.server.requests()), (5, 1));
    // What was handed over is known after a restart.
    store.close().await.unwrap();
    let store = open(guard.path()).await;
    start(&store, &[&witness], 1).close(MINUTE).await;
    assert_eq!(witness.server.requests(), 1);
    // The first request starts at 0, the second where the witness says.
    grow(&store, 5).await;
    start(&store, &[&witness], 1).close(MINUTE).await;
    assert_eq!((witness.size(), witness.server.requests()), (10, 3));
    // Without that memory, the same checkpoint is cosigned again, which is harmless.
    std::fs::remove_dir_all(guard.path().join(".attestry/anchors")).unwrap();
    let last = start(&store, &[&witness], 1).close(MINUTE).await.remove(0);
    assert_eq!((last.held.unwrap().leaves, last.failed), (10, 0));
    assert_eq!(cosigned(&store, &[&witness], 1).await, Some(10));
}

#[tokio::test]
async fn faults_are_retried_and_nothing_false_is_stored() {
    let other = TestWitness::start("w.example/other");
    let good = TestWitness::start("w.example/one");
    let of = |size, root: Hash| Checkpoint::new("example.com/audit", size, root).unwrap();
    let false_line = good.cosign(&of(3, leaf_hash(b"another tree")));
    let foreign = other.cosign(&of(3, leaf_hash(b"x")));
    let plain = |status, body: &str| Response::new(status, "text/plain", body);
    let size = |body: &str| Response::new(409, "text/x.tlog.size", body);
    let faults = [
        ("status 500", plain(500, "down")),
        ("status 503", plain(503, "")),
        ("status 429", plain(429, "later")),
        ("status 404", plain(404, "unknown log")),
        ("status 403", plain(403, "unknown key")),
        ("status 301", plain(301, "")),
        ("status 409", plain(409, "3\n")),
        ("names no size", size("three\n")),
        ("no signature line", plain(200, "")),
        ("not a signed note", plain(200, "hello\n")),
        ("not a signed note", plain(200, "example.com/audit\n3\n")),
        ("is invalid", plain(200, &false_line)),
        ("no cosignature of the key", plain(200, &foreign)),
        ("not UTF-8", Response::new(200, "text/plain", [0xff, b'\n'])),
        ("longer than", plain(200, &"x".repeat(1 << 20))),
        ("no reply", Response::Close),
        ("no reply", Response::Cut { body: false_line.clone().into_bytes() }),
        ("no answer within", Response::Hang),
    ];
    for (message, fault) in faults {
        let (_guard, store) = store().await;
        let witness = TestWitness::start("w.example/one");
        witness.server.now(move |_| fault.clone());
        let clients = [witness.client()];
        let http = HttpClient::new().unwrap();
        let group = Witnesses::new(log_key(), clients, 1, http).unwrap();
        let dispatcher =
            quick().anchor(group).timeout(Duration::from_millis(300)).start(store.clone()).unwrap();
        grow(&store, 3).await;
        until(message, || status(&dispatcher).failed >= 2).await;
        let now = status(&dispatcher);
        assert!(now.pending && now.held.is_none() && !now.contradiction, "{now:?}");
        assert!(now.failures_in_a_row >= 2, "{now:?}");
        let error = now.last_error.unwrap();
        assert!(error.contains(message), "{message:?} is not in {error}");
        assert_eq!(cosigned(&store, &[&witness], 1).await, None, "{message}");
        witness.heal();
        until("it is cosigned", || status(&dispatcher).held.is_some()).await;
        let last = dispatcher.close(MINUTE).await.remove(0);
        assert_eq!((last.failures_in_a_row, last.last_error), (0, None));
        assert_eq!(cosigned(&store, &[&witness], 1).await, Some(3), "{message}");
    }
}

#[tokio::test]
async fn contradictions_are_reported_as_such() {
    let root = leaf_hash(b"another tree");
    // Ahead of the store; another tree of the same and of a smaller size.
    for (size, message) in [(9, "has cosigned 9 leaves"), (3, "another tree"), (2, "another tree")]
    {
        let (_guard, store) = store().await;
        let witness = TestWitness::start("w.example/one");
        let other = Checkpoint::new("example.com/audit", size, root).unwrap();
        *witness.seen.lock().unwrap() = Some(other);
        let dispatcher = start(&store, &[&witness], 1);
        grow(&store, 3).await;
        until(message, || status(&dispatcher).contradiction).await;
        let now = status(&dispatcher);
        assert!(now.last_error.as_ref().unwrap().contains(message), "{now:?}");
        assert_eq!(cosigned(&store, &[&witness], 1).await, None);
        // Logging goes on.
        grow(&store, 1).await;
    }
}

#[tokio::test]
async fn witness_that_lost_its_memory_is_refused() {
    let (_guard, store) = store().await;
    let witness = TestWitness::start("w.example/one");
    let dispatcher = start(&store, &[&witness], 1);
    grow(&store, 5).await;
    until("it is cosigned", || status(&dispatcher).held.is_some()).await;
    *witness.seen.lock().unwrap() = None;
    grow(&store, 5).await;
    until("it is refused", || status(&dispatcher).failed > 0).await;
    let error = status(&dispatcher).last_error.unwrap();
    assert!(error.contains("cosigned 5 leaves before, and now knows only 0"), "{error}");
    assert_eq!(witness.size(), 0);
}

#[tokio::test]
async fn quorum_is_enough_and_the_lacking_witness_is_named() {
    let (_guard, store) = store().await;
    let names = ["w.example/one", "w.example/two", "w.example/three"];
    let witnesses = names.map(TestWitness::start);
    let all: Vec<&TestWitness> = witnesses.iter().collect();
    witnesses[1].server.now(|_| Response::Close);
    let dispatcher = start(&store, &all, 2);
    grow(&store, 3).await;
    until("two have cosigned", || status(&dispatcher).held.is_some()).await;
    let now = status(&dispatcher);
    assert!(now.last_error.unwrap().starts_with("w.example/two: "));
    assert_eq!((now.failed, now.pending), (0, false));
    assert_eq!(cosigned(&store, &all, 2).await, Some(3));
    // One is too few; the cosignature obtained is kept until the others are back.
    witnesses[0].server.now(|_| Response::Close);
    grow(&store, 3).await;
    until("one is too few", || status(&dispatcher).failed >= 2).await;
    let error = status(&dispatcher).last_error.unwrap();
    assert!(error.starts_with("1 of 2 needed witnesses cosigned: "), "{error}");
    let asked = witnesses[2].server.requests();
    witnesses[1].heal();
    until("two have cosigned", || status(&dispatcher).held.unwrap().leaves == 6).await;
    assert_eq!(witnesses[2].server.requests(), asked, "it has cosigned that checkpoint");
    assert_eq!(cosigned(&store, &all, 2).await, Some(6));
    dispatcher.close(MINUTE).await;
}

#[tokio::test]
async fn entries_are_acknowledged_while_a_witness_hangs() {
    let (_guard, store) = store().await;
    let witness = TestWitness::start("w.example/one");
    witness.server.now(|_| Response::Hang);
    let dispatcher = start(&store, &[&witness], 1);
    grow(&store, 1).await;
    until("the witness is asked", || witness.server.requests() > 0).await;
    for _ in 0..100 {
        grow(&store, 1).await;
    }
    assert!(status(&dispatcher).pending);
    assert_eq!(dispatcher.metrics().held_age_seconds, None);
    // Closing is bounded, too, and leaves the checkpoint to the next dispatcher.
    let last = dispatcher.close(Duration::from_millis(50)).await.remove(0);
    assert!(last.pending && last.held.is_none());
    witness.heal();
    let dispatcher = start(&store, &[&witness], 1);
    until("it is cosigned", || status(&dispatcher).held.is_some()).await;
    let metrics = serde_json::to_value(dispatcher.metrics()).unwrap();
    assert!(metrics["held_age_seconds"].as_u64().unwrap() < 60, "{metrics}");
    assert_eq!(metrics["anchors"][0]["held"]["leaves"], 101);
}

/// A witness of ours and one of two others.
fn policy_file(ours: &TestWitness, others: [&TestWitness; 2]) -> PolicyFile {
    let line = |name: &str, witness: &TestWitness| {
        format!("witness {name} {} {}\n", witness.vkey(), witness.server.url())
    };
    let [one, two] = others;
    let witnesses = [line("ours", ours), line("w1", one), line("w2", two)].concat();
    let groups = "group others any w1 w2\ngroup enough all ours others\nquorum enough\n";
    format!("{witnesses}{groups}").parse().unwrap()
}

#[tokio::test]
async fn quorum_of_a_policy_file_must_cosign() {
    let (_guard, store) = store().await;
    let [ours, one, two] =
        ["w.example/ours", "w.example/one", "w.example/two"].map(TestWitness::start);
    let file = policy_file(&ours, [&one, &two]);
    let http = HttpClient::new().unwrap();
    let group = Witnesses::of_policy(log_key(), &file, http).unwrap();
    let dispatcher = quick().anchor(group).start(store.clone()).unwrap();
    let required = || VerifyOptions::new().policy(file.policy(log_key()).unwrap());
    let cosigned = async || store.verify(required()).await.unwrap().witnessed.map(|by| by.leaves);
    let down = |_: &_| Response::new(503, "text/plain", "down");
    // Two of three cosign, but the third must.
    ours.server.now(down);
    grow(&store, 3).await;
    until("it fails", || status(&dispatcher).failed >= 2).await;
    assert_eq!((one.size(), two.size()), (3, 3));
    let error = status(&dispatcher).last_error.unwrap();
    assert!(error.contains("the 2 witnesses that cosigned are not the quorum"), "{error}");
    assert_eq!(cosigned().await, None);
    // One of the others is enough.
    two.server.now(down);
    ours.heal();
    until("it is handed over", || status(&dispatcher).held.is_some_and(|h| h.leaves == 3)).await;
    assert_eq!(cosigned().await, Some(3));
    grow(&store, 2).await;
    until("it is handed over", || status(&dispatcher).held.is_some_and(|h| h.leaves == 5)).await;
    assert_eq!((ours.size(), one.size(), two.size()), (5, 5, 3));
    assert!(status(&dispatcher).last_error.is_some_and(|text| text.contains("w.example/two")));
    assert_eq!(cosigned().await, Some(5));
    dispatcher.close(MINUTE).await;
}

#[test]
fn policy_files_that_cannot_be_met_are_refused() {
    let witness = TestWitness::start("w.example/one");
    let vkey = witness.vkey();
    let refused = |text: String| {
        let file = text.parse().unwrap();
        Witnesses::of_policy(log_key(), &file, HttpClient::new().unwrap()).unwrap_err()
    };
    let error = refused(format!("witness w {vkey}\nquorum w\n"));
    assert!(matches!(error, UnusablePolicy::MissingUrls), "{error}");
    let error = refused(format!("witness w {vkey} ftp://w\nquorum w\n"));
    assert!(matches!(&error, UnusablePolicy::Witness { name, .. } if name == "w"), "{error}");
}
