//! Keys: generated, read, rejected, and never printed.

use crate::common::{self, Folder, Run, json, run};

const SECRET: &str = "the secret question";

/// A folder with `audit.key`, its key, and the id of an entry encrypted with it.
fn encrypted() -> (Folder, String, String) {
    let folder = Folder::new();
    folder.ok(&["key", "generate", "--out", "audit.key"]);
    let key = std::fs::read_to_string(folder.path("audit.key")).unwrap().trim().to_owned();
    let printed = folder.ok(&[
        "--key-file",
        "audit.key",
        "log",
        "--input",
        SECRET,
        "--output",
        "4",
        "--store-content",
    ]);
    (folder, key, printed.trim_end().to_owned())
}

fn assert_no_secret(run: &Run, key: &str) {
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.contains(key) && !text.contains(SECRET), "{run:?}");
    }
}

#[test]
fn new_key_file_is_private_and_never_overwrites() {
    let folder = Folder::new();
    let generated = folder.run(&["key", "generate", "--out", "audit.key"]);
    generated.expect(0, "wrote a new key to audit.key");
    let key = std::fs::read_to_string(folder.path("audit.key")).unwrap();
    assert_eq!(key.trim_end().len(), 44);
    assert_no_secret(&generated, key.trim_end());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = folder.path("audit.key").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = folder.run(&["key", "generate", "--out", "audit.key"]);
    again.expect(2, "error: audit.key exists already; a key file is never overwritten\nhint: ");
    assert_eq!(std::fs::read_to_string(folder.path("audit.key")).unwrap(), key);
    folder
        .run(&["key", "generate", "--out", "missing/audit.key"])
        .expect(2, "error: cannot write the key file missing/audit.key: No such file");
}

#[test]
fn key_is_read_from_option_and_environment() {
    let (folder, key, id) = encrypted();
    let stored = json(&folder.ok(&["get", &id]));
    assert!(!stored.to_string().contains(SECRET));
    let get = ["get", &id, "--decrypt"];
    let by_option = folder.ok(&[&["--key-file", "audit.key"], &get[..]].concat());
    assert_eq!(json(&by_option)["input_content"], SECRET);
    assert_eq!(json(&by_option)["output_content"], "4");

    let by_variable = run(folder.command(&get).env("ATTESTRY_KEY", &key));
    assert_eq!(by_variable.stdout, by_option);
    let by_file_variable = run(folder.command(&get).env("ATTESTRY_KEY_FILE", "audit.key"));
    assert_eq!(by_file_variable.stdout, by_option);
    // A key file overrides the variable, and any key of the file decrypts.
    folder.ok(&["key", "generate", "--out", "new.key"]);
    let new = std::fs::read_to_string(folder.path("new.key")).unwrap();
    folder.write("both.key", &format!("# new, then old\n{new}{key}\n"));
    let both = folder.ok(&[&["--key-file", "both.key"], &get[..]].concat());
    assert_eq!(both, by_option);
    let run = run(folder
        .command(&[&["--key-file", "audit.key"], &get[..]].concat())
        .env("ATTESTRY_KEY", new.trim_end()));
    assert_eq!(run.stdout, by_option);
}

#[test]
fn wrong_or_missing_key_is_an_error() {
    let (folder, key, id) = encrypted();
    folder.ok(&["key", "generate", "--out", "wrong.key"]);
    let get = ["get", &id, "--decrypt"];
    let none = folder.run(&get);
    none.expect(2, "error: the content is encrypted\nhint: pass its key with --key-file FILE");
    let wrong = folder.run(&[&["--key-file", "wrong.key"], &get[..]].concat());
    wrong.expect(2, "error: cannot decrypt the content: ");
    wrong.expect(
        2,
        "made with another key, or it was altered\nhint: pass the key that encrypted it",
    );
    for run in [none, wrong] {
        assert_eq!(run.stdout, "");
        assert_no_secret(&run, &key);
    }
    folder
        .run(&[&["--key-file", "missing.key"], &get[..]].concat())
        .expect(2, "error: cannot read the key file missing.key: No such file");
}

#[test]
fn invalid_key_is_rejected_and_not_printed() {
    let folder = Folder::new();
    let log = ["log", "--input", "a", "--output", "b", "--store-content"];
    // An empty key is an error too, so that content is not stored as plain text by mistake.
    for (value, message) in [
        ("", "there is no key in ATTESTRY_KEY"),
        ("hunter2", "item 1 of ATTESTRY_KEY is not a key: a key has 44 characters, this has 7"),
    ] {
        let run = run(folder.command(&log).env("ATTESTRY_KEY", value));
        run.expect(2, message);
        assert!(!run.stderr.contains("hunter2"));
    }
    folder.write("bad.key", "correct horse battery staple\n");
    let run = folder.run(&[&["--key-file", "bad.key"], &log[..]].concat());
    run.expect(2, "error: line 1 of bad.key is not a key: ");
    assert!(!run.stderr.contains("staple"));
    assert!(!common::exists(&folder.path("audit")));
}

#[test]
fn altered_content_exits_with_status_1() {
    let folder = Folder::new();
    let id = folder.ok(&["log", "--input", "aaaa", "--output", "b", "--store-content"]);
    let (path, content) = folder.segment();
    std::fs::write(&path, content.replace("aaaa", "aaab")).unwrap();
    let run = folder.run(&["get", id.trim_end(), "--decrypt"]);
    run.expect(1, "does not match its hash");
    assert_eq!(run.stdout, "");
}

/// `log`, `import`, `show`, `check --against` and `reconcile` use the same key.
#[test]
fn hash_key_protects_contents_from_guessing() {
    let folder = Folder::new();
    folder.ok(&["key", "generate", "--out", "hash.key"]);
    let keyed = ["--hash-key-file", "hash.key"];
    let run = |arguments: &[&str]| folder.run(&[&keyed[..], arguments].concat());
    folder.write("in.jsonl", "{\"input\": \"q\", \"output\": \"a\"}\n");
    let (plain, keyed_ids) = (folder.ok(&["import", "in.jsonl"]), run(&["import", "in.jsonl"]));
    keyed_ids.expect(0, "");
    folder.ok(&["--store", "keyed", "--hash-key-file", "hash.key", "import", "in.jsonl"]);
    let entry = |store: &str, id: &str| json(&folder.ok(&["--store", store, "get", id.trim()]));
    let id = folder.ok(&["--store", "keyed", "list", "--format", "json"]);
    let id = json(id.trim())["id"].as_str().unwrap().to_owned();
    let hash = entry("keyed", &id)["input_hash"].as_str().unwrap().to_owned();
    assert!(hash.starts_with("hmac-sha256:") && hash.len() == 76, "{hash}");
    assert!(!entry("audit", &plain)["input_hash"].as_str().unwrap().contains(':'));
    // Compared with the key, and counted without.
    let against = ["--store", "keyed", "check", "--against", "in.jsonl"];
    let with_key = run(&against);
    with_key.expect(0, "");
    assert!(with_key.stdout.contains("1 of 1 interaction of in.jsonl recorded"), "{with_key:?}");
    let without = folder.run(&against);
    without.expect(1, "");
    assert!(without.stdout.contains("not compared (no hash key)"), "{without:?}");
    let reconcile = ["--store", "keyed", "reconcile", "--against", "in.jsonl"];
    run(&reconcile).expect(0, "");
    // A keyed and a plain hash are no difference.
    folder.run(&reconcile).expect(0, "1 call matched, 0 of them with other values");
    // Stored content is compared with its hash.
    run(&["--store", "other", "log", "--input", "q", "--output", "a", "--store-content"])
        .expect(0, "");
    run(&["--store", "other", "check"]).expect(0, "");
    folder.ok(&["key", "generate", "--out", "another.key"]);
    let wrong = folder.run(&["--store", "other", "--hash-key-file", "another.key", "check"]);
    wrong.expect(1, "");
    assert!(wrong.stdout.contains("hash"), "{wrong:?}");
}

#[test]
fn hash_key_that_cannot_be_used_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let log =
        |key: &str| folder.run(&["--hash-key-file", key, "log", "--input", "a", "--output", "b"]);
    log("missing").expect(2, "cannot read the hash key file missing");
    folder.write("short", "too short\n");
    log("short").expect(2, "a hash key has at least 16 bytes");
    folder.write("open", "a secret that all may read\n");
    std::fs::set_permissions(folder.path("open"), std::fs::Permissions::from_mode(0o644)).unwrap();
    log("open").expect(2, "chmod 600 open");
    log("/dev/zero").expect(2, "at most 65536 bytes");
    assert!(!folder.path("audit").exists());
}
