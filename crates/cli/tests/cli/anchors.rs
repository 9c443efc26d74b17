//! Checkpoints that leave the store: witnesses, timestamp authorities and other places.

// The witness and the authority of the tests of `attestry-anchor`.
#[allow(dead_code)] // shared; each test file uses a part of it
#[path = "../../../anchor/tests/support/server.rs"]
pub(crate) mod server;
#[allow(dead_code)] // shared; each test file uses a part of it
#[path = "../../../anchor/tests/support/tsa.rs"]
mod tsa;
#[allow(dead_code)] // shared; each test file uses a part of it
#[path = "../../../anchor/tests/support/witness.rs"]
pub(crate) mod witness;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::common::{Folder, Run, json};
use attestry_evidence::{Checkpoint, LogKey, SigningKey, leaf_hash};
use server::{Response, Server};
use tsa::{Authority, Keys};
use witness::TestWitness;

fn key() -> SigningKey {
    SigningKey::from_seed("example.com/audit", &[7; 32]).unwrap()
}

fn log_key() -> LogKey {
    key().public()
}

/// A folder with keys.
pub(crate) fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("signing.key", &key().expose_secret());
    let path = folder.path("signing.key");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    folder.write("signing.key.pub", &key().public().to_string());
    folder
}

const SIGN: [&str; 2] = ["--signing-key", "signing.key"];
const LOG: [&str; 5] = ["log", "--input", "a", "--output", "b"];
const VERIFY: [&str; 3] = ["verify", "--public-key", "signing.key.pub"];

fn run(folder: &Folder, parts: &[&[&str]]) -> Run {
    folder.run(&parts.concat())
}

#[test]
fn checkpoints_are_cosigned_and_verified_with_the_same_option() {
    let folder = folder();
    let witnesses = ["w.example/one", "w.example/two"].map(TestWitness::start);
    let [one, two] = [&witnesses[0], &witnesses[1]].map(TestWitness::url_and_key);
    let both = ["--witness", &one, "--witness", &two];
    run(&folder, &[&SIGN, &LOG, &both]).expect(0, "");
    assert_eq!((witnesses[0].size(), witnesses[1].size()), (1, 1));
    folder.write("more.jsonl", "{\"input\": \"q\", \"output\": \"a\"}\n{\"input\": \"p\"}\n");
    run(&folder, &[&SIGN, &["import", "more.jsonl"], &both]).expect(0, "");
    assert_eq!((witnesses[0].size(), witnesses[1].size()), (3, 3));
    let verified = run(&folder, &[&VERIFY, &both]);
    verified.expect(0, "");
    let first = "3 entries match the Merkle tree, signed, held elsewhere: no problems\n";
    assert!(verified.stdout.starts_with(first), "{}", verified.stdout);
    assert!(verified.stdout.contains("3 leaves cosigned by w.example/one at 2"));
    assert!(verified.stdout.contains(", w.example/two at 2"), "{}", verified.stdout);
    // Its key alone, in a file, does as well.
    folder.write("one.pub", &witnesses[0].vkey());
    run(&folder, &[&VERIFY, &["--witness", "one.pub"]]).expect(0, "");
    let other = TestWitness::start("w.example/three").vkey();
    run(&folder, &[&VERIFY, &["--witness", &other]]).expect(1, "");
    // What follows is soft.
    run(&folder, &[&SIGN, &LOG]).expect(0, "");
    let verified = run(&folder, &[&VERIFY]);
    let soft = ", held elsewhere up to leaf 3 of 4 (soft since ";
    assert!(verified.stdout.contains(soft), "{}", verified.stdout);
    let report = json(&run(&folder, &[&VERIFY, &["--format", "json"]]).stdout);
    assert_eq!(report["held_elsewhere"]["anchor"], "witnesses");
    assert_eq!(report["held_elsewhere"]["leaves"], 3);
    assert!(report["held_elsewhere"]["age_seconds"].is_u64(), "{report}");
    let checkpoint = run(&folder, &[&SIGN, &["checkpoint"], &both]);
    checkpoint.expect(0, "");
    assert_eq!(checkpoint.stdout, folder.ok(&["checkpoint", "--latest"]));
    assert_eq!(witnesses[1].size(), 4);
}

#[test]
fn witnesses_of_a_policy_file_are_asked() {
    let folder = folder();
    let [ours, other] = ["w.example/ours", "w.example/other"].map(TestWitness::start);
    let line = |name: &str, witness: &TestWitness| {
        format!("witness {name} {} {}\n", witness.vkey(), witness.server.url())
    };
    let witnesses = [line("ours", &ours), line("other", &other)].concat();
    folder.write("any", &format!("{witnesses}group any any ours other\nquorum any\n"));
    folder.write("all", &format!("{witnesses}group all all ours other\nquorum all\n"));
    other.server.now(|_| Response::new(503, "text/plain", "down"));
    run(&folder, &[&SIGN, &LOG, &["--policy", "any"]]).expect(0, "w.example/other");
    assert_eq!((ours.size(), other.size()), (1, 0));
    run(&folder, &[&VERIFY, &["--policy", "any"]]).expect(0, "");
    run(&folder, &[&VERIFY, &["--policy", "all"]]).expect(1, "");
    let all = ["--policy", "all", "--anchor-timeout", "1s"];
    run(&folder, &[&SIGN, &LOG, &all]).expect(0, "1 of 2 needed witnesses");
    run(&folder, &[&SIGN, &["checkpoint"], &all]).expect(1, "1 of 2 needed witnesses");
    other.heal();
    run(&folder, &[&SIGN, &["checkpoint"], &all]).expect(0, "");
    run(&folder, &[&VERIFY, &["--policy", "all"]]).expect(0, "");
    folder.write("no-url", &format!("witness w {}\nquorum w\n", ours.vkey()));
    let refused = run(&folder, &[&SIGN, &LOG, &["--policy", "no-url"]]);
    refused.expect(2, "add the URLs of the others");
}

#[test]
fn failures_are_reported_and_repeated_by_the_next_command() {
    let folder = folder();
    let witness = TestWitness::start("w.example/one");
    let place = folder.path("share");
    let to_share = format!("folder:{}", place.display());
    let options = [
        "--witness",
        &witness.url_and_key(),
        "--checkpoint-to",
        &to_share,
        "--anchor-timeout",
        "2s",
    ];
    witness.server.now(|_| Response::new(503, "text/plain", "back soon"));
    // The entry is stored, whatever the witness does.
    let logged = run(&folder, &[&SIGN, &LOG, &options]);
    logged.expect(0, "warning: the checkpoint was not handed over: witnesses: ");
    logged.expect(0, "replied with status 503: back soon");
    logged.expect(0, "share");
    assert_eq!(folder.entries().len(), 1);
    let signed = run(&folder, &[&SIGN, &["checkpoint"], &options]);
    signed.expect(1, "warning: the checkpoint was not handed over: witnesses: ");
    assert!(signed.stdout.starts_with("example.com/audit\n1\n"), "{}", signed.stdout);
    let listed = folder.run(&["anchors"]);
    listed.expect(1, "");
    assert!(listed.stdout.contains("witnesses: has nothing yet; failed "), "{}", listed.stdout);
    assert!(listed.stdout.contains("back soon"), "{}", listed.stdout);
    assert!(!folder.ok(&VERIFY).contains("elsewhere"));
    witness.heal();
    fs::create_dir(&place).unwrap();
    // Nothing new is signed, but the checkpoint is handed over.
    run(&folder, &[&SIGN, &["checkpoint"], &options]).expect(0, "");
    assert_eq!(witness.size(), 1);
    let notes: Vec<_> = fs::read_dir(&place).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(fs::read_to_string(&notes[0]).unwrap(), folder.ok(&["checkpoint", "--latest"]));
    let listed = folder.ok(&["anchors"]);
    assert!(listed.contains("witnesses: has 1 leaf of example.com/audit as of "), "{listed}");
    let listed = json(&folder.ok(&["anchors", "--format", "json"]));
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|row| &row["anchor"]).collect();
    assert_eq!(names, [&format!("folder {}", place.display()), "witnesses"]);
    assert_eq!(listed[1]["failures"], 0);
}

#[test]
fn contradicting_witness_is_an_alarm() {
    let folder = folder();
    let witness = TestWitness::start("w.example/one");
    let other = Checkpoint::new("example.com/audit", 9, leaf_hash(b"x")).unwrap();
    *witness.seen.lock().unwrap() = Some(other);
    let options = ["--witness", &witness.url_and_key(), "--anchor-timeout", "2s"];
    let logged = run(&folder, &[&SIGN, &LOG, &options]);
    logged.expect(0, "WARNING: CONTRADICTION: ");
    logged.expect(0, "the witness has cosigned 9 leaves of this log");
    assert_eq!(folder.entries().len(), 1);
}

#[test]
fn timestamps_are_stored_and_verified_offline() {
    let folder = folder();
    let authority = Arc::new(Authority::new(Keys::P384));
    let answering = Arc::clone(&authority);
    let server = Server::start(move |request| answering.answer(request));
    let url = server.url();
    run(&folder, &[&SIGN, &LOG, &["--tsa", &url]]).expect(0, "");
    run(&folder, &[&SIGN, &LOG, &["--tsa", &url]]).expect(0, "");
    // Not again within the hour.
    run(&folder, &[&SIGN, &LOG, &["--tsa", &url, "--tsa-every", "1h"]]).expect(0, "");
    assert_eq!(server.requests(), 2);
    let ca = authority.path("ca.pem").display().to_string();
    let verify = |ca: &str| run(&folder, &[&VERIFY, &["--tsa-ca", ca]]);
    let verified = verify(&ca);
    verified.expect(0, "");
    assert!(verified.stdout.contains("\n2 leaves existed by 2"), "{}", verified.stdout);
    assert!(verified.stdout.contains("(2 timestamps verified)"), "{}", verified.stdout);
    let report = run(&folder, &[&VERIFY, &["--tsa-ca", &ca, "--format", "json"]]);
    assert_eq!(json(&report.stdout)["timestamps"]["existed"]["leaves"], 2);
    // With certificates of another authority.
    let stranger = Authority::new(Keys::P384);
    let refused = verify(&stranger.path("ca.pem").display().to_string());
    refused.expect(1, "");
    assert!(refused.stdout.contains(".tsr: timestamp: "), "{}", refused.stdout);
    assert!(refused.stdout.contains("is not trusted"), "{}", refused.stdout);
    verify("signing.key.pub").expect(2, "there is no certificate in PEM form");
    // An altered reply.
    let stamps = folder.path("audit/.attestry/timestamps");
    let mut replies: Vec<_> = fs::read_dir(&stamps).unwrap().map(|f| f.unwrap().path()).collect();
    replies.retain(|path| path.extension().is_some_and(|ending| ending == "tsr"));
    let reply = fs::read(&replies[0]).unwrap();
    fs::write(&replies[0], &reply[..reply.len() - 1]).unwrap();
    verify(&ca).expect(1, "");
    fs::write(&replies[0], &reply).unwrap();
    verify(&ca).expect(0, "");
    // A history that was rewritten and signed again with the key contradicts the timestamps.
    fs::rename(&stamps, folder.path("kept")).unwrap();
    fs::remove_dir_all(folder.path("audit")).unwrap();
    // The signer would refuse it, if it were not made to forget.
    fs::remove_dir_all(folder.path("state")).unwrap();
    for _ in 0..3 {
        run(&folder, &[&SIGN, &LOG]).expect(0, "");
    }
    verify(&ca).expect(0, "");
    fs::rename(folder.path("kept"), &stamps).unwrap();
    let rewritten = verify(&ca);
    rewritten.expect(1, "");
    assert!(
        rewritten.stdout.contains("fork: the log's key has signed two"),
        "{}",
        rewritten.stdout
    );
}

#[test]
fn wrong_options_are_refused_before_anything_is_stored() {
    let folder = folder();
    for (options, message) in [
        (&["--checkpoint-to", "/mnt/x"][..], "folder:PATH, file:PATH"),
        (&["--checkpoint-to", "s3:"], "hint: "),
        (&["--witness", "https://w.example"], "hint: pass URL+KEY"),
        (&["--tsa", "ftp://x"], "is not a URL like"),
        (&["--tsa-every", "1h"], "--tsa"),
        (&["--anchor-timeout", "soon"], "a time span such as"),
    ] {
        let run = run(&folder, &[&SIGN, &LOG, options]);
        run.expect(2, if message == "hint: " { "" } else { message });
        assert!(!folder.path("audit").exists() || folder.entries().is_empty(), "{options:?}");
    }
    run(&folder, &[&LOG, &["--tsa", "http://127.0.0.1:1"]]).expect(2, "--signing-key");
    run(&folder, &[&["verify", "--witness", "x"]]).expect(2, "--public-key");
    run(&folder, &[&["--store", "memory:"], &SIGN, &LOG, &["--checkpoint-to", "file:x"]])
        .expect(2, "");
}
