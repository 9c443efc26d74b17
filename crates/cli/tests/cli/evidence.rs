//! Signing keys, `checkpoint`, `verify`, `prove`, `verify-proof` and `export`.

use std::fs;

use crate::common::{self, Folder, json};

/// A folder with a signed sample store, its key in `signing.key`, its checkpoint in `checkpoint`; and the ids.
fn signed() -> (Folder, Vec<String>) {
    let (folder, ids) = Folder::with_sample();
    let key =
        ["key", "generate", "--signing", "--name", "example.com/audit", "--out", "signing.key"];
    let generated = folder.run(&key);
    generated.expect(0, "wrote a new signing key of the log example.com/audit to signing.key");
    let secret = fs::read_to_string(folder.path("signing.key")).unwrap();
    assert!(!generated.stderr.contains(&secret) && !generated.stdout.contains(&secret));
    let checkpoint = folder.ok(&["--signing-key", "signing.key", "tree", "begin"]);
    fs::write(folder.path("checkpoint"), checkpoint).unwrap();
    (folder, ids)
}

const VERIFY: [&str; 3] = ["verify", "--public-key", "signing.key.pub"];

#[test]
fn verify_accepts_an_unchanged_store() {
    let (folder, ids) = signed();
    let with_key = folder.run(&VERIFY);
    with_key.expect(0, "note: adopted: 6 lines existed before the tree");
    assert_eq!(with_key.stdout, "6 entries match the Merkle tree, signed: no problems\n");
    assert_eq!(
        folder.ok(&["verify"]),
        "6 entries match the Merkle tree, signed, signatures not verified (pass --public-key): no problems\n"
    );
    folder.ok(&["--signing-key", "signing.key", "log", "--input", "a", "--output", "b"]);
    let delete = ["delete", "--reason", "request 4711", "--by", "dpo", &ids[0]];
    folder.run(&delete).expect(2, "hint: pass --signing-key FILE, or --erasure-key FILE");
    folder.ok(&[&["--signing-key", "signing.key"][..], &delete].concat());
    let all = [&VERIFY[..], &["--since-checkpoint", "checkpoint", "--format", "json"]].concat();
    let report = json(&folder.ok(&all));
    assert_eq!(report["erased"], 1);
    assert_eq!(report["lines"], ids.len());
    assert_eq!(report["checkpoints"], 4, "the given one, the same in the store, and two more");
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
    refused.expect(2, "hint: if it never kept evidence, begin with");
    let refused = folder.run(&["--signing-key", "signing.key", "tree", "begin"]);
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
            "verified: the entry is leaf 2 of the log example.com/audit with 7 leaves"
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

#[test]
fn erasures_are_listed_with_their_signatures() {
    let (folder, ids) = signed();
    folder.ok(&["key", "generate", "--signing", "--name", "example.com/dpo", "--out", "dpo.key"]);
    let delete = ["delete", "--reason", "request 4711", "--by", "dpo", &ids[0]];
    let as_officer = [&["--erasure-key", "dpo.key"][..], &delete].concat();
    folder.run(&as_officer).expect(2, "hint: authorise it with");
    folder.ok(&["--signing-key", "signing.key", "tree", "allow-erasure", "dpo.key.pub"]);
    assert_eq!(folder.ok(&as_officer).trim(), ids[0]);
    let listed = folder.ok(&["erasures"]);
    assert!(
        listed.contains("leaf 0, by dpo: request 4711; signed by example.com/dpo+"),
        "{listed}"
    );
    assert!(listed.contains("not verified; no checkpoint yet"), "{listed}");
    folder.ok(&["--signing-key", "signing.key", "checkpoint"]);
    let verified = ["erasures", "--public-key", "signing.key.pub", "--format", "json"];
    let record = json(&folder.ok(&verified));
    assert_eq!(record["signature"], "authentic");
    assert_eq!((&record["leaf"], &record["count"]), (&json("0"), &json("1")));
    assert!(record["checkpoint"].as_u64() > record["record"].as_u64(), "{record}");
    // Not by the key of another log.
    folder.ok(&["key", "generate", "--signing", "--name", "example.com/audit", "--out", "other"]);
    let other = folder.run(&["erasures", "--public-key", "other.pub"]);
    other.expect(1, "1 record is not signed by a key that may erase");
    assert!(other.stdout.contains("not authentic: the record is signed with"), "{}", other.stdout);
    // Nor once the key was ended.
    let end =
        ["--signing-key", "signing.key", "tree", "end-key", "dpo.key.pub", "--reason", "left"];
    folder.ok(&end);
    let delete = ["--erasure-key", "dpo.key", "delete", &ids[1]];
    folder.run(&delete).expect(2, "may not sign erasures");
    folder.ok(&VERIFY);
}

#[test]
fn strict_verification_takes_notes_for_problems() {
    let (folder, _) = signed();
    folder.ok(&VERIFY);
    let strict = [&VERIFY[..], &["--strict"]].concat();
    folder.run(&strict).expect(1, "problem: adopted: 6 lines existed before the tree");
    let report = json(&folder.ok(&[&VERIFY[..], &["--format", "json"]].concat()));
    assert_eq!(report["observations"], json(r#"[{"kind":"adopted","count":6}]"#));
    // A store that began with its first entry.
    let log = ["log", "--input", "a", "--output", "b"];
    let key = ["--store", "new", "--signing-key", "new.key"];
    folder.ok(&["key", "generate", "--signing", "--out", "new.key"]);
    folder.ok(&[&key[..], &log].concat());
    let verify = ["--store", "new", "verify", "--public-key", "new.key.pub", "--strict"];
    folder.run(&verify).expect(0, "");
    folder.ok(&[&verify[..], &["--max-age", "1h"]].concat());
    let outdated = folder.run(&[&verify[..], &["--max-age", "0s"]].concat());
    outdated.expect(1, "");
    assert!(outdated.stdout.starts_with("outdated: the newest checkpoint"), "{}", outdated.stdout);
    folder
        .run(&["verify", "--max-age", "soon"])
        .expect(2, "expected a number and one of s, m, h, d");
    // Lines that are not signed yet.
    folder.ok(&["--store", "new", "log", "--input", "c", "--output", "d"]);
    folder.run(&verify).expect(1, "problem: unsigned: 1 leaf is not covered by a checkpoint");
}

#[test]
fn removed_evidence_is_reported_to_holders_of_a_checkpoint() {
    let (folder, _) = signed();
    fs::remove_dir_all(folder.path("audit/.attestry")).unwrap();
    let since = [&VERIFY[..], &["--since-checkpoint", "checkpoint"]].concat();
    let run = folder.run(&since);
    run.expect(1, "");
    assert!(run.stdout.contains("evidence-removed: ./audit has no tree, but there was one"));
    // Nothing advises to begin again, which would destroy what is left.
    assert!(!run.stderr.contains("begin"), "{}", run.stderr);
}

/// The audit's `sec-07`: a line altered, the tree recomputed, the checkpoints removed.
#[test]
fn owner_does_not_sign_what_an_attacker_made() {
    let (folder, _) = signed();
    let (segment, text) = folder.segment();
    fs::write(&segment, text.replacen("openai", "opemai", 1)).unwrap();
    for name in ["tree", "checkpoints"] {
        fs::remove_dir_all(folder.path(&format!("audit/.attestry/{name}"))).unwrap();
    }
    // The attacker adopts what is there with a key of another name, then removes its checkpoint.
    folder.ok(&["key", "generate", "--signing", "--out", "attacker.key"]);
    folder.ok(&["--signing-key", "attacker.key", "tree", "begin"]);
    fs::remove_dir_all(folder.path("audit/.attestry/checkpoints")).unwrap();
    let key = ["--signing-key", "signing.key"];
    let log = [&key[..], &["log", "--input", "a", "--output", "b"]].concat();
    folder.run(&log).expect(0, "warning: cannot sign a checkpoint: ");
    folder
        .run(&[&log[..], &["--strict"]].concat())
        .expect(1, "does not extend the checkpoint of 7 leaves");
    let refused = folder.run(&[&key[..], &["checkpoint"]].concat());
    refused.expect(1, "does not extend the checkpoint of 7 leaves");
    refused.expect(1, "`attestry tree accept --reason` signs it as it is");
    // The way out is on record.
    let accept = ["tree", "accept", "--reason", "restored from paper", "--by", "ops"];
    let accepted = folder.ok(&[&key[..], &accept].concat());
    folder.write("accepted", &accepted);
    folder.run(&log).expect(0, "");
    let compare = ["compare", "checkpoint", "accepted", "--public-key", "signing.key.pub"];
    let forked = folder.run(&compare);
    forked.expect(1, "");
    assert!(
        forked.stdout.starts_with("fork: the key of example.com/audit has signed two histories")
    );
}

#[test]
fn state_file_can_be_named() {
    let (folder, _) = signed();
    assert!(folder.path("state/attestry/signed-checkpoints").is_file());
    let checkpoint = ["--signing-key", "signing.key", "--state", "mine/signed", "checkpoint"];
    let signed = folder.ok(&checkpoint);
    assert_eq!(fs::read_to_string(folder.path("mine/signed")).unwrap(), signed);
    let mut without = folder.command(&["--signing-key", "signing.key", "checkpoint"]);
    without.env_remove("XDG_STATE_HOME").env_remove("HOME");
    common::run(&mut without).expect(2, "hint: pass --state FILE");
}

#[test]
fn compare_decides_growth_with_a_store_or_a_proof() {
    let (folder, _) = signed();
    let key = ["--signing-key", "signing.key"];
    folder.ok(&[&key[..], &["log", "--input", "a", "--output", "b"]].concat());
    folder.write("later", &folder.ok(&["checkpoint", "--latest"]));
    let policy = ["--public-key", "signing.key.pub"];
    folder.write(
        "growth",
        &folder.ok(&[&["prove", "--grown-since", "checkpoint"][..], &policy].concat()),
    );
    let compare = |one, other| [&["compare", one, other][..], &policy].concat();
    let grown = "grown: example.com/audit has only grown, from 7 leaves to 8 leaves\n";
    for (one, other) in [("checkpoint", "later"), ("later", "checkpoint")] {
        assert_eq!(folder.ok(&compare(one, other)), grown);
    }
    assert!(folder.ok(&compare("later", "later")).starts_with("the same: "));
    fs::rename(folder.path("audit"), folder.path("away")).unwrap();
    folder.run(&compare("checkpoint", "later")).expect(2, "there is no store at ./audit");
    let with_proof = [&compare("checkpoint", "later")[..], &["--proof", "growth"]].concat();
    assert_eq!(folder.ok(&with_proof), grown);
    let json_format = [&with_proof[..], &["--format", "json"]].concat();
    assert_eq!(json(&folder.ok(&json_format))["relation"], "grown");
}

#[test]
fn key_is_rotated_and_either_one_verifies() {
    let (folder, ids) = signed();
    folder.ok(&["key", "generate", "--signing", "--name", "example.com/audit", "--out", "new.key"]);
    let log = ["log", "--input", "a", "--output", "b"];
    folder.ok(&[&["--signing-key", "signing.key"][..], &log].concat());
    let rotate = ["--signing-key", "signing.key", "tree", "rotate", "--new-key", "new.key"];
    folder.write("rotated", &folder.ok(&rotate));
    let old = folder.run(&[&["--signing-key", "signing.key"][..], &log].concat());
    old.expect(0, "warning: cannot sign a checkpoint: the key");
    folder.ok(&[&["--signing-key", "new.key"][..], &log].concat());
    folder.ok(&["--signing-key", "new.key", "delete", &ids[2]]);
    for keys in
        [&["signing.key.pub"][..], &["new.key.pub"], &["new.key.pub", "signing.key.pub@..8"]]
    {
        let keys: Vec<_> = keys.iter().flat_map(|key| ["--public-key", key]).collect();
        let kept = ["--since-checkpoint", "checkpoint", "--since-checkpoint", "rotated"];
        let run = folder.run(&[&["verify"][..], &keys, &kept].concat());
        run.expect(0, "");
        folder.ok(&[&["erasures"][..], &keys].concat());
    }
    folder
        .run(&["verify", "--public-key", "new.key.pub@9"])
        .expect(2, "hint: pass FILE@FROM..UNTIL");
    let end = ["tree", "end-key", "signing.key.pub", "--at-size", "7", "--reason", "stolen"];
    folder.ok(&[&["--signing-key", "new.key"][..], &end].concat());
    folder.run(&["verify", "--public-key", "new.key.pub"]).expect(0, "note: ended-key: ");
}

#[test]
fn policy_file_names_the_log_and_the_quorum() {
    let (folder, _) = signed();
    let key = fs::read_to_string(folder.path("signing.key.pub")).unwrap();
    let witness =
        "witness remora remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2\n";
    let verify = ["verify", "--policy", "policy"];
    folder.write("policy", &format!("# of the audit\nlog {key}{witness}quorum none\n"));
    let verified = folder.ok(&verify);
    assert_eq!(verified, "6 entries match the Merkle tree, signed: no problems\n");
    let latest = folder.ok(&["checkpoint", "--latest"]);
    folder.write("answer", &latest);
    folder.ok(&[&verify[..], &["--since-checkpoint", "answer"]].concat());
    let cosigned = ["checkpoint", "--cosigned", "answer", "--policy", "policy"];
    folder.ok(&cosigned);
    for quorum in ["quorum remora", "group all-of-them all remora\nquorum all-of-them"] {
        folder.write("policy", &format!("log {key}{witness}{quorum}\n"));
        let verified = folder.run(&verify);
        verified.expect(1, "");
        assert!(verified.stdout.contains("cosigned by enough witnesses"), "{verified:?}");
        folder.run(&cosigned).expect(2, "witnesses");
    }
    // With the key of the log from elsewhere.
    folder.write("policy", &format!("{witness}quorum none\n"));
    folder.run(&verify).expect(2, "the policy file names no log");
    folder.ok(&[&verify[..], &["--public-key", "signing.key.pub"]].concat());
    folder.write("policy", &format!("log {key}quorum none # no comments here\n"));
    folder.run(&verify).expect(2, "line 2 is not a definition");
    fs::write(folder.path("policy"), vec![b' '; 2 << 20]).unwrap();
    folder.run(&verify).expect(2, "longer than 1 MiB");
}

/// Without the key, each command warns when the tree has had no checkpoint for more than a day.
#[test]
fn commands_without_the_key_warn_about_leaves_without_a_checkpoint() {
    let (folder, _) = signed();
    let log = ["log", "--input", "a", "--output", "b"];
    let quiet = folder.run(&log);
    quiet.expect(0, "");
    assert_eq!(quiet.stderr, "", "another program may sign each day");
    for item in fs::read_dir(folder.path("audit/.attestry/checkpoints")).unwrap() {
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 86_400);
        let file = fs::File::options().append(true).open(item.unwrap().path()).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(old)).unwrap();
    }
    folder.run(&log).expect(0, "1 leaves of the tree have been without a checkpoint since");
    folder
        .run(&[&["--strict"][..], &log].concat())
        .expect(1, "attestry --signing-key FILE checkpoint");
    let signing = folder.run(&[&["--signing-key", "signing.key"][..], &log].concat());
    signing.expect(0, "");
    assert_eq!(folder.run(&log).stderr, "");
}
