//! Signing keys, `checkpoint`, `verify`, `prove`, `verify-proof` and `export`.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Folder, json};

/// A folder with a signed sample store, its key in `signing.key`, its checkpoint in `checkpoint`; and the ids.
fn signed() -> (Folder, Vec<String>) {
    let (folder, ids) = Folder::with_sample();
    let key =
        ["key", "generate", "--signing", "--name", "example.com/audit", "--out", "signing.key"];
    let generated = folder.run(&key);
    generated.expect(0, "wrote a new signing key of the log example.com/audit to signing.key");
    let secret = fs::read_to_string(folder.path("signing.key")).unwrap();
    assert!(!generated.stderr.contains(&secret) && !generated.stdout.contains(&secret));
    let checkpoint = folder.ok(&["--signing-key", "signing.key", "checkpoint"]);
    fs::write(folder.path("checkpoint"), checkpoint).unwrap();
    (folder, ids)
}

const VERIFY: [&str; 3] = ["verify", "--public-key", "signing.key.pub"];

#[test]
fn verify_accepts_an_unchanged_store() {
    let (folder, ids) = signed();
    let with_key = folder.run(&VERIFY);
    with_key.expect(0, "note: 6 lines were in the store before evidence began");
    assert_eq!(with_key.stdout, "6 entries match the Merkle tree, signed: no problems\n");
    assert_eq!(
        folder.ok(&["verify"]),
        "6 entries match the Merkle tree, signed, signatures not verified (pass --public-key): no problems\n"
    );
    folder.ok(&["--signing-key", "signing.key", "log", "--input", "a", "--output", "b"]);
    folder.ok(&["delete", "--reason", "request 4711", "--by", "dpo", &ids[0]]);
    let all = [&VERIFY[..], &["--since-checkpoint", "checkpoint", "--format", "json"]].concat();
    let report = json(&folder.ok(&all));
    assert_eq!(report["erased"], 1);
    assert_eq!(report["lines"], ids.len());
    assert_eq!(report["checkpoints"], 3, "the given one, the same in the store, and that of `log`");
    assert_eq!(report["problems"].as_array().unwrap().len(), 0);
    let records = fs::read_to_string(folder.path("audit/.attestry/tree/erasures")).unwrap();
    assert!(records.contains("request 4711") && records.contains("dpo"), "{records}");
}

#[test]
fn verify_reports_altered_entry() {
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
    // Without the tree, the altered entry is not signed either.
    fs::remove_dir_all(folder.path("audit/.attestry/tree")).unwrap();
    let refused = folder.run(&["--signing-key", "signing.key", "checkpoint"]);
    refused.expect(1, "hint: `attestry verify` reports what was changed");
}

#[test]
fn verify_proof_works_without_the_store() {
    let (folder, ids) = signed();
    fs::write(folder.path("proof"), folder.ok(&["prove", &ids[2]])).unwrap();
    fs::write(folder.path("entry.json"), folder.ok(&["get", &ids[2]])).unwrap();
    fs::write(folder.path("other.json"), folder.ok(&["get", &ids[3]])).unwrap();
    fs::rename(folder.path("audit"), folder.path("moved")).unwrap();
    let check = |entry: &str| {
        folder.run(&["verify-proof", "proof", "--public-key", "signing.key.pub", entry])
    };
    assert!(
        check("entry.json").stdout.starts_with(
            "verified: the entry is leaf 2 of the log example.com/audit with 6 leaves"
        )
    );
    check("other.json").expect(1, "not verified: ");
    check("proof").expect(2, "hint: pass the stored line");
    folder.ok(&["key", "generate", "--signing", "--out", "other.key"]);
    folder
        .run(&["verify-proof", "proof", "--public-key", "other.key.pub", "entry.json"])
        .expect(1, "not verified: checkpoint verification failed");
    folder.run(&["verify-proof", "proof", "entry.json"]).expect(2, "--public-key");
}

#[test]
fn exported_proofs_verify_without_the_store() {
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
fn export_without_proofs_copies_stored_lines() {
    let (folder, ids) = Folder::with_sample();
    folder.run(&["export", "--out", "copy", "--provider", "openai"]).expect(0, "exported ");
    let text = fs::read_to_string(folder.path("copy/entries.jsonl")).unwrap();
    assert_eq!(text, folder.ok(&["list", "--provider", "openai", "--format", "json"]));
    assert!(!text.is_empty() && text.lines().count() < ids.len());
    folder.run(&["export", "--out", "proofs", "--with-proofs"]).expect(2, "keeps no evidence");
}

#[test]
fn prove_grown_since_prints_consistency_proof() {
    let (folder, _) = signed();
    folder.ok(&["--signing-key", "signing.key", "log", "--input", "a", "--output", "b"]);
    let proof =
        folder.ok(&["prove", "--grown-since", "checkpoint", "--public-key", "signing.key.pub"]);
    assert!(proof.starts_with("old "), "{proof}");
    assert!(proof.ends_with(&folder.ok(&["checkpoint", "--latest"])), "{proof}");
}

#[test]
fn usage_errors_have_hints() {
    let (folder, ids) = Folder::with_sample();
    folder.run(&["checkpoint"]).expect(2, "hint: pass --signing-key FILE");
    folder.run(&["verify"]).expect(2, "keeps no evidence\nhint: ");
    folder.run(&["prove", &ids[0]]).expect(2, "keeps no evidence\nhint: ");
    folder.run(&["--store", "memory:", "verify"]).expect(2, "only file stores keep evidence");
    folder.run(&["--store", "memory:", "delete", "x"]).expect(1, "x");
    folder
        .run(&["--store", "memory:", "delete", "--by", "me", "x"])
        .expect(2, "memory: stores do not support `erased_by`");
    folder.write("bad.key", "PRIVATE+KEY+not+a+key");
    let bad = folder.run(&["--signing-key", "bad.key", "checkpoint"]);
    bad.expect(2, "line 1 of bad.key is not a key");
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
        .expect(2, "memory: stores do not support `evidence`");
}
