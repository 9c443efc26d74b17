//! Calls with a start and an end, read by Python: both entries are plain ones.

use std::collections::HashSet;
use std::path::Path;

use super::attestry::Attestry;
use super::{Python, ensure, ensure_equal};
use crate::cmd::{Cmd, Result};
use crate::workspace::{Profile, Workspace, emptied};

/// `run` is a folder for temporary files.
pub(super) fn check(
    workspace: &Workspace,
    python: &Python,
    program: &Path,
    run: &Path,
) -> Result<String> {
    let torture = workspace.build_torture(Profile::Dev)?;
    let folder = emptied(run.join("calls"))?;
    let store = folder.join("store");
    // The first process is killed in the middle of its calls.
    for (process, die_at) in [("1", "30"), ("2", "0")] {
        Cmd::new(&torture)
            .arg("call-worker")
            .arg("--folder")
            .arg(&store)
            .arg("--journal")
            .arg(folder.join("journal"))
            .args(["--process", process, "--seed", "7", "--die-at", die_at])
            .finish()?;
    }

    let read = python.script("read_store.py", [&store])?;
    let entries = read["entries"].as_array().ok_or("no entries")?;
    let (mut starts, mut ends) = (HashSet::new(), HashSet::new());
    for found in entries {
        let entry = &found["entry"];
        for flag in ["read_is_same", "line_is_pythons", "hashes_match"] {
            ensure(found[flag] == true, || format!("{}: {flag} is {}", entry["id"], found[flag]))?;
        }
        let metadata = &entry["metadata"];
        match metadata["attestry.phase"].as_str() {
            Some("start") => starts.insert(entry["id"].as_str().unwrap_or_default()),
            _ => ends.insert(metadata["attestry.call"].as_str().unwrap_or_default()),
        };
    }
    ensure_equal(
        "Python's count",
        &Some((starts.len() + ends.len()) as u64),
        &read["count"].as_u64(),
    )?;
    ensure(ends.is_subset(&starts), || "Python finds an end without its start".to_owned())?;
    let open = starts.len() - ends.len();
    ensure(open > 0 && ends.len() >= 9, || {
        format!("{} calls with {} ends: no process was killed, or both", starts.len(), ends.len())
    })?;

    let attestry = Attestry::new(program, &store);
    for (phase, expected) in
        [("all", entries.len()), ("latest", starts.len()), ("end", ends.len()), ("open", open)]
    {
        let printed = attestry.done(&["count", "--phase", phase])?;
        ensure_equal(&format!("count of phase {phase}"), &format!("{expected}\n"), &printed)?;
    }
    Ok(format!(
        "{} entries of {} calls listed, read and counted by Python, {open} calls are open",
        entries.len(),
        starts.len()
    ))
}
