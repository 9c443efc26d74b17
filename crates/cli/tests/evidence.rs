//! Evidence by the program: keys, checkpoints, verifying, proofs, exports.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Folder, json};

/// A folder with a sample store under a checkpoint, the key in `signing.key`, and the ids.
fn signed() -> (Folder, Vec<String>) {
    let (folder, ids) = Folder::with_sample();
    let key =
        ["key", "generate", "--signing", "--name", "example.com/audit", "--out", "signing.key"];
    let made = folder.run(&key);
    made.expect(0, "wrote a new signing key of the log example.com/audit to signing.key");
    let secret = fs::read_to_string(folder.path("signing.key")).unwrap();
    assert!(!made.stderr.contains(&secret) && !made.stdout.contains(&secret));
    let checkpoint = folder.ok(&["--signing-key", "signing.key", "checkpoint"]);
    fs::write(folder.path("checkpoint"), checkpoint).unwrap();
    (folder, ids)
}

const VERIFY: [&str; 3] = ["verify", "--public-key", "signing.key.pub"];

#[test]
fn what_was_not_changed_is_proven() {
    let (folder, ids) = signed();
    let told = folder.run(&VERIFY);
    told.expect(0, "there before evidence was begun");
    assert!(told.stdout.ends_with("signed: no problems\n"), "{}", told.stdout);
    let nobody = folder.run(&["verify"]);
    nobody.expect(0, "give the log's key with --public-key FILE");
    folder.ok(&["--signing-key", "signing.key", "log", "--input", "a", "--output", "b"]);
    folder.ok(&["delete", "--reason", "request 4711", "--by", "dpo", &ids[0]]);
    let all = [&VERIFY[..], &["--since-checkpoint", "checkpoint", "--format", "json"]].concat();
    let report = json(&folder.ok(&all));
    assert_eq!(report["erased"], 1);
    assert_eq!(report["lines"], ids.len());
    assert_eq!(report["checkpoints"], 3, "the kept one, its original, and that of `log`");
    assert_eq!(report["problems"].as_array().unwrap().len(), 0);
    let records = fs::read_to_string(folder.path("audit/.attestry/tree/erasures")).unwrap();
    assert!(records.contains("request 4711") && records.contains("dpo"), "{records}");
}

#[test]
fn what_was_changed_is_named() {
    let (folder, ids) = signed();
    let segment = fs::read_dir(folder.path("audit"))
        .unwrap()
        .map(|item| item.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .unwrap();
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replacen("openai", "opemai", 1)).unwrap();
    let run = folder.run(&VERIFY);
    run.expect(1, "");
    assert!(run.stdout.contains(": altered: "), "{}", run.stdout);
    assert!(ids.iter().any(|id| run.stdout.contains(id.as_str())), "{}", run.stdout);
    let found = folder.run(&[&VERIFY[..], &["--format", "json"]].concat());
    found.expect(1, "");
    let problem = &json(&found.stdout)["problems"][0];
    assert_eq!(problem["kind"], "altered");
    assert!(problem["offset"].is_u64() && problem["id"].is_string() && problem["leaf"].is_u64());
    assert!(problem["path"].as_str().unwrap().ends_with(".jsonl"));
    // Nothing is signed over it once the tree has been made to fit.
    fs::remove_dir_all(folder.path("audit/.attestry/tree")).unwrap();
    let refused = folder.run(&["--signing-key", "signing.key", "checkpoint"]);
    refused.expect(1, "hint: `attestry verify` names what was changed");
}

#[test]
fn a_proof_needs_no_store() {
    let (folder, ids) = signed();
    fs::write(folder.path("proof"), folder.ok(&["prove", &ids[2]])).unwrap();
    fs::write(folder.path("entry.json"), folder.ok(&["get", &ids[2]])).unwrap();
    fs::write(folder.path("other.json"), folder.ok(&["get", &ids[3]])).unwrap();
    fs::rename(folder.path("audit"), folder.path("gone")).unwrap();
    let check = |entry: &str| {
        folder.run(&["verify-proof", "proof", "--public-key", "signing.key.pub", entry])
    };
    assert!(
        check("entry.json")
            .stdout
            .starts_with("proven: the entry is leaf 2 of the log example.com/audit")
    );
    check("other.json").expect(1, "not proven: ");
    check("proof").expect(2, "hint: give the line as it is stored");
    folder.ok(&["key", "generate", "--signing", "--out", "other.key"]);
    folder
        .run(&["verify-proof", "proof", "--public-key", "other.key.pub", "entry.json"])
        .expect(1, "not proven: the checkpoint of the proof cannot be trusted");
    folder.run(&["verify-proof", "proof", "entry.json"]).expect(2, "--public-key");
}

#[test]
fn an_export_is_all_that_an_auditor_needs() {
    let (folder, ids) = signed();
    let export = ["export", "--out", "for-the-auditor", "--with-proofs"];
    folder.run(&export).expect(0, &format!("exported {} entries", ids.len()));
    fs::remove_dir_all(folder.path("audit")).unwrap();
    let text = fs::read_to_string(folder.path("for-the-auditor/entries.jsonl")).unwrap();
    assert_eq!(text.lines().count(), ids.len());
    for (number, line) in text.lines().enumerate() {
        fs::write(folder.path("entry.json"), format!("{line}\n")).unwrap();
        let proof = format!("for-the-auditor/proofs/{:08}.tlog-proof", number + 1);
        folder.ok(&["verify-proof", &proof, "--public-key", "signing.key.pub", "entry.json"]);
    }
    assert_eq!(
        fs::read_to_string(folder.path("for-the-auditor/checkpoint")).unwrap(),
        fs::read_to_string(folder.path("checkpoint")).unwrap()
    );
    folder.run(&export).expect(2, "hint: ");
}

#[test]
fn an_export_without_proofs_copies_lines() {
    let (folder, ids) = Folder::with_sample();
    folder.run(&["export", "--out", "copy", "--provider", "openai"]).expect(0, "exported ");
    let text = fs::read_to_string(folder.path("copy/entries.jsonl")).unwrap();
    assert_eq!(text, folder.ok(&["list", "--provider", "openai", "--format", "json"]));
    assert!(!text.is_empty() && text.lines().count() < ids.len());
    folder.run(&["export", "--out", "proofs", "--with-proofs"]).expect(2, "keeps no evidence");
}

#[test]
fn a_log_shows_that_it_only_grew() {
    let (folder, _) = signed();
    folder.ok(&["--signing-key", "signing.key", "log", "--input", "a", "--output", "b"]);
    let proof =
        folder.ok(&["prove", "--grown-since", "checkpoint", "--public-key", "signing.key.pub"]);
    assert!(proof.starts_with("old "), "{proof}");
    assert!(proof.ends_with(&folder.ok(&["checkpoint", "--latest"])), "{proof}");
}

#[test]
fn wrong_usage_says_what_to_do() {
    let (folder, ids) = Folder::with_sample();
    folder.run(&["checkpoint"]).expect(2, "hint: give it with --signing-key FILE");
    folder.run(&["verify"]).expect(2, "keeps no evidence\nhint: ");
    folder.run(&["prove", &ids[0]]).expect(2, "keeps no evidence\nhint: ");
    folder.run(&["--store", "memory:", "verify"]).expect(2, "only a store in a folder");
    folder.write("bad.key", "PRIVATE+KEY+not+a+key");
    let bad = folder.run(&["--signing-key", "bad.key", "checkpoint"]);
    bad.expect(2, "bad.key holds no signing key");
    assert!(!bad.stderr.contains("PRIVATE"), "{}", bad.stderr);
    folder.ok(&["key", "generate", "--signing", "--out", "signing.key"]);
    folder
        .run(&["key", "generate", "--signing", "--out", "signing.key"])
        .expect(2, "exists already");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = folder.path("signing.key").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    folder
        .run(&[
            "--store",
            "memory:",
            "--signing-key",
            "signing.key",
            "log",
            "--input",
            "a",
            "--output",
            "b",
        ])
        .expect(2, "only a store in a folder");
}
