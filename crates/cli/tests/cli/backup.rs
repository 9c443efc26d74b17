//! `attestry backup`.

use std::fs;

use crate::common::{Folder, json};

#[test]
fn backup_is_a_store_that_verifies() {
    let (folder, ids) = Folder::with_sample();
    folder.ok(&["key", "generate", "--signing", "--name", "example.com/audit", "--out", "sk"]);
    folder.ok(&["--signing-key", "sk", "tree", "begin"]);
    let made = folder.ok(&["backup", "copy"]);
    assert!(
        made.starts_with("copied 1 segment, ") && made.ends_with(" bytes, to copy\n"),
        "{made}"
    );
    folder.ok(&["--signing-key", "sk", "log", "--input", "a", "--output", "b"]);
    assert_eq!(folder.ok(&["--store", "copy", "count"]), "6\n");
    let verified = folder.ok(&["--store", "copy", "verify", "--public-key", "sk.pub"]);
    assert!(verified.contains("6 entries match the Merkle tree, signed"), "{verified}");
    assert!(folder.ok(&["--store", "copy", "get", &ids[2]]).contains(&ids[2]));
    let report = json(&folder.ok(&["backup", "other", "--hard-links", "--format", "json"]));
    assert_eq!((report["segments"].as_u64(), report["linked"].as_u64()), (Some(1), Some(0)));
    // Nothing is replaced.
    folder.run(&["backup", "copy"]).expect(2, "copy exists already");
    fs::create_dir(folder.path("third.incomplete")).unwrap();
    folder.run(&["backup", "third"]).expect(2, "if no backup is running, remove that folder");
    folder.run(&["backup", "audit/copy"]).expect(2, "is inside the store");
    folder.run(&["--store", "missing", "backup", "x"]).expect(2, "there is no store at missing");
    folder.run(&["--store", "memory:", "backup", "x"]).expect(2, "memory: is not a folder");
    assert!(!folder.path("x").exists() && !folder.path("x.incomplete").exists());
}
