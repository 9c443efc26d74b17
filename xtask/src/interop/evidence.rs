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
    rotated(python, program, &emptied(run.join("rotated"))?)?;
    Ok("proofs verified in Python, and not of an altered entry; the package reads a folder that keeps \
        evidence, what it writes and rotates is not covered and then taken in, and what it deletes is missed"
        .to_owned())
}

/// The package continues a store with evidence, and rotates its file several times: on an auditor's copy, which is
/// never opened for writing, its lines are not covered, and nothing is altered or inserted.
fn rotated(python: &Python, program: &Path, folder: &Path) -> Result {
    const WRITTEN: u64 = 25;
    let store = folder.join("store");
    let attestry = Attestry::new(program, &store);
    let key = folder.join("signing.key").to_string_lossy().into_owned();
    let public = format!("{key}.pub");
    attestry.done(&["key", "generate", "--signing", "--out", &key])?;
    let signing = ["--signing-key", key.as_str()];
    attestry.done(&[&signing[..], &["log", "--input", "a", "--output", "b"]].concat())?;
    let store_text = store.to_string_lossy().into_owned();
    let written = WRITTEN.to_string();
    let options = ["--content", "hash", "--count", &written, "--rotation-bytes", "4000"];
    python.script("write_store.py", [&[store_text.as_str()][..], &options].concat())?;
    let is_segment = |name: &str| name.starts_with("audit_") && name.ends_with(".jsonl");
    let names =
        fs::read_dir(&store)?.map(|item| Ok(item?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<std::io::Result<_>>()?;
    let segments = names.iter().filter(|name| is_segment(name)).count();
    ensure(segments > 3, || format!("the package rotated to {segments} segments only"))?;
    let verify = ["verify", "--public-key", &public, "--format", "json"];
    let report: Value = serde_json::from_str(&attestry.done(&verify)?)?;
    ensure_equal("lines that are not covered", &json!(WRITTEN), &report["not_covered"])?;
    attestry.done(&[&signing[..], &["checkpoint"]].concat())?;
    let report: Value = serde_json::from_str(&attestry.done(&verify)?)?;
    ensure_equal("lines taken in", &json!(WRITTEN + 1), &report["lines"])?;
    ensure_equal("lines that are not covered", &json!(0), &report["not_covered"])
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
