//! Imports of single records.

use serde_json::Value;

use super::Folder;

/// Imports the line `record`, which must be accepted, and returns its entry.
pub(crate) fn recorded(record: &str) -> Value {
    let folder = Folder::new();
    folder.write("in.jsonl", record);
    folder.run(&["import", "in.jsonl", "--store-content"]).expect(0, "imported 1 interaction,");
    folder.entries().remove(0)
}

/// Imports the line `record`, which must be refused, and returns the reason.
pub(crate) fn refused(record: &str) -> String {
    let folder = Folder::new();
    folder.write("in.jsonl", record);
    let run = folder.run(&["import", "in.jsonl"]);
    run.expect(1, "imported 0 interactions, 1 bad line");
    run.stderr.lines().next().unwrap().strip_prefix("in.jsonl:1: ").unwrap().to_owned()
}
