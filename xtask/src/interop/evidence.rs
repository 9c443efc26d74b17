//! Evidence and Python: a proof checked by an independent script, and a folder with evidence that the real package reads
//! and changes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::attestry::Attestry;
use super::{Python, ensure, ensure_equal};
use crate::cmd::Result;
use crate::workspace::{Workspace, emptied};

const INTERACTIONS: usize = 60;

/// `run` is a folder for temporary files.
pub(super) fn check(
    workspace: &Workspace,
    python: &Python,
    program: &Path,
    run: &Path,
) -> Result<String> {
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
    folder(python, program, &emptied(run.join("evidence"))?)?;
    Ok("proofs verified in Python, and not of an altered entry; the package reads a folder that keeps \
        evidence, what it writes is taken in, and what it deletes is missed"
        .to_owned())
}

/// A store with evidence, used by both sides.
fn folder(python: &Python, program: &Path, folder: &Path) -> Result {
    let store = folder.join("store");
    let attestry = Attestry::new(program, &store);
    let (key, input) = (folder.join("signing.key"), folder.join("interactions.jsonl"));
    let public = PathBuf::from(format!("{}.pub", key.display()));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (key_text, public_text) = (text(&key), text(&public));
    attestry.done(&["key", "generate", "--signing", "--out", &key_text])?;
    let interaction = |number| format!("{{\"input\": \"{number}\", \"output\": \"é\"}}\n");
    fs::write(&input, (0..INTERACTIONS).map(interaction).collect::<String>())?;
    let signing = ["--signing-key", &key_text];
    let printed = attestry.done(&[&signing[..], &["import", &text(&input)]].concat())?;
    let ids: Vec<&str> = printed.lines().collect();
    attestry.done(&[&signing[..], &["delete", "--reason", "asked for", ids[3]]].concat())?;
    attestry.done(&[&signing[..], &["checkpoint"]].concat())?;
    let verify = ["verify", "--public-key", &public_text];
    attestry.done(&verify)?;

    // A proof made by the program, with the stored line.
    let (entry, proof) = (folder.join("entry.json"), folder.join("proof"));
    fs::write(&entry, attestry.done(&["get", ids[7]])?)?;
    fs::write(&proof, attestry.done(&["prove", ids[7]])?)?;
    let proven = python.script("verify_proof.py", [&public, &entry, &proof])?;
    ensure_equal("the leaf proven in Python", &json!(7), &proven["index"])?;

    let read = python.script("read_store.py", [text(&store).as_str(), "--absent", ids[3]])?;
    let found = read["entries"].as_array().map_or(0, Vec::len);
    ensure_equal("what Python reads", &(INTERACTIONS - 1), &found)?;

    // A deletion by the package leaves no record.
    let deleted = python.script("delete_entries.py", [text(&store).as_str(), ids[9]])?;
    ensure_equal("what Python deleted", &json!([true]), &deleted)?;
    let report = attestry.not_well(&[&verify[..], &["--format", "json"]].concat())?;
    let report: Value = serde_json::from_str(&report)?;
    let kinds: Vec<&Value> =
        report["problems"].as_array().into_iter().flatten().map(|p| &p["kind"]).collect();
    ensure_equal("what is missed", &vec![&json!("missing")], &kinds)?;
    ensure_equal("the leaf that is missed", &json!(9), &report["problems"][0]["leaf"])?;
    // Recording continues in the file the package rewrote.
    attestry.done(&[&signing[..], &["log", "--input", "a", "--output", "b"]].concat())?;
    let report = attestry.not_well(&[&verify[..], &["--format", "json"]].concat())?;
    let report: Value = serde_json::from_str(&report)?;
    ensure_equal("lines in the end", &json!(INTERACTIONS - 1), &report["lines"])?;
    ensure_equal("signed in the end", &report["leaves"], &report["signed"])
}
