//! A proof of ours, checked by a script that has nothing of ours.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{Python, ensure, ensure_equal};
use crate::cmd::Result;
use crate::workspace::Workspace;

/// `run` is a folder for what is made on the way.
pub(super) fn check(workspace: &Workspace, python: &Python, run: &Path) -> Result<String> {
    let example = workspace.path("crates/evidence/tests/vectors/example");
    let verify = |entry: &Path| {
        let (key, proof) = (example.join("audit.pub"), example.join("entry.tlog-proof"));
        python.script("verify_proof.py", [&key, entry, &proof])
    };
    let entry = example.join("entry.jsonl");
    ensure_equal("what was proven", &json!({"index": 321, "size": 500}), &verify(&entry)?)?;

    let altered = run.join("altered.jsonl");
    fs::write(&altered, fs::read_to_string(&entry)?.replacen("09:15:00", "09:15:01", 1))?;
    ensure(verify(&altered).is_err(), || "an altered entry was taken for the one logged".into())?;
    Ok("a proof verified in Python, and not of an altered entry".to_owned())
}
