//! A damaged Merkle tree: what is said, and its repair.

use std::fs;

use crate::common::{self, Folder, sample};

const KEY: [&str; 2] = ["--signing-key", "k"];

/// A store with a tree and a checkpoint, which is in the file `checkpoint`.
fn with_tree() -> Folder {
    let folder = Folder::new();
    folder.ok(&["key", "generate", "--signing", "--name", "example.com/a", "--out", "k"]);
    folder.write("sample.jsonl", &sample());
    folder.ok(&[&KEY[..], &["import", "sample.jsonl"]].concat());
    let checkpoint = folder.ok(&[&KEY[..], &["checkpoint"]].concat());
    folder.write("checkpoint", &checkpoint);
    folder
}

fn verify(folder: &Folder) -> common::Run {
    folder.run(&["verify", "--public-key", "k.pub", "--since-checkpoint", "checkpoint"])
}

#[test]
fn damaged_tree_is_named_with_its_repair() {
    for name in ["places", "head"] {
        let folder = with_tree();
        folder.write(&format!("audit/.attestry/tree/{name}"), "garbage");
        let log = ["log", "--input", "a", "--output", "b"];
        for arguments in [&log[..], &[&KEY[..], &log].concat(), &["verify"]] {
            let run = folder.run(arguments);
            run.expect(2, &format!("tree/{name} is damaged: "));
            run.expect(2, "hint: `attestry tree rebuild` repairs it");
        }
        let rebuilt = folder.ok(&["tree", "rebuild"]);
        assert_eq!(
            rebuilt,
            "rebuilt the tree of 6 leaves; it matches the latest checkpoint, of 6 leaves\n"
        );
        folder.ok(&[&KEY[..], &log].concat());
        verify(&folder).expect(0, "");
    }
}

#[test]
fn tree_starts_over_when_asked_to() {
    let folder = with_tree();
    let hashes = "audit/.attestry/tree/tiles.0";
    let mut bytes = fs::read(folder.path(hashes)).unwrap();
    bytes[3] ^= 1;
    fs::write(folder.path(hashes), bytes).unwrap();
    let refused = folder.run(&["tree", "rebuild"]);
    refused.expect(1, "the tree contradicts its checkpoint of 6 leaves");
    refused.expect(1, "hint: the leaf hashes are damaged");
    folder.run(&["tree", "rebuild", "--start-over"]).expect(2, "the signing key is missing");
    let moved = folder.ok(&[&KEY[..], &["tree", "rebuild", "--start-over"]].concat());
    assert_eq!(moved.lines().filter(|line| line.contains("damaged")).count(), 2, "{moved}");
    folder.run(&["verify", "--public-key", "k.pub"]).expect(0, "note: accepted: 1 contradiction");
}

/// The audit's `sec-01`: one wrong bit above the leaves.
#[test]
fn wrong_hash_above_the_leaves_is_found_and_repaired() {
    let folder = with_tree();
    let lines = "{\"input\":\"q\",\"output\":\"a\"}\n".repeat(300);
    folder.write("more.jsonl", &lines);
    folder.ok(&[&KEY[..], &["import", "more.jsonl"]].concat());
    verify(&folder).expect(0, "");
    let hashes = "audit/.attestry/tree/tiles.1";
    let right = fs::read(folder.path(hashes)).unwrap();
    let mut wrong = right.clone();
    wrong[3] ^= 1;
    fs::write(folder.path(hashes), wrong).unwrap();
    let found = verify(&folder);
    found.expect(1, "");
    assert!(
        found.stdout.contains("tiles.1:0: stored-hash: the hash is not that"),
        "{}",
        found.stdout
    );
    folder.ok(&["tree", "rebuild"]);
    assert_eq!(fs::read(folder.path(hashes)).unwrap(), right);
    verify(&folder).expect(0, "");
    fs::remove_file(folder.path(hashes)).unwrap();
    let found = verify(&folder);
    found.expect(1, "");
    assert!(found.stdout.contains("stored-hash: the hashes of level 1 from 0 on are missing"));
}

#[test]
fn rebuild_needs_a_folder_with_a_tree() {
    let folder = Folder::new();
    folder.run(&["tree", "rebuild"]).expect(2, "there is no store at ./audit");
    folder.ok(&["log", "--input", "a", "--output", "b"]);
    folder.run(&["tree", "rebuild"]).expect(2, "keeps no evidence");
    folder.run(&["--store", "memory:", "tree", "rebuild"]).expect(2, "memory: is not a folder");
    assert!(!folder.path("audit/.attestry/tree").exists());
}

/// Without the key, an attacker makes lines and tree fit, and removes the checkpoints, too.
#[test]
fn removed_checkpoints_are_reported_to_the_next_writer() {
    let folder = with_tree();
    let log = [&KEY[..], &["log", "--input", "a", "--output", "b"]].concat();
    assert_eq!(folder.run(&log).stderr, "");
    for file in fs::read_dir(folder.path("audit/.attestry/checkpoints")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    folder.run(&log).expect(0, "no checkpoint of the tree of 7 leaves is stored");
    assert_eq!(folder.run(&log).stderr, "");
}
