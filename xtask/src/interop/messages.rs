//! The canonical form of messages: a reader recomputes the hash with the commands of `docs/metadata.md`.

use std::fs;
use std::path::Path;

use super::attestry::Attestry;
use super::{ensure, ensure_equal};
use crate::cmd::{Cmd, Result};
use crate::workspace::{Workspace, emptied};

/// `run` is a folder for temporary files.
pub(super) fn check(workspace: &Workspace, program: &Path, run: &Path) -> Result<String> {
    let page = fs::read_to_string(workspace.path("docs/metadata.md"))?;
    let (_, section) = page.split_once("### Messages").ok_or("there is no section \"Messages\"")?;
    let json = block(section, "json")?;
    let commands = block(section, "sh")?;
    let hash = section
        .split('`')
        .find(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or("the section has no hash")?;

    let folder = emptied(run.join("messages"))?;
    let file = folder.join("messages.json");
    fs::write(&file, json)?;
    let store = Attestry::new(program, &folder.join("store"));
    let log = ["log", "--json", "--input-file", &file.to_string_lossy(), "--output", "[]"];
    let id = store.done(&log)?;
    let entry = store.get(id.trim())?;
    ensure_equal("the hash that was recorded", &Some(hash), &entry["input_hash"].as_str())?;

    // Each command by itself, so that the failure of one is not hidden by the other.
    let python = commands.find("python3").ok_or("there is no command for Python")?;
    for command in [&commands[..python], &commands[python..]] {
        let printed = Cmd::new("sh").args(["-ec", command]).folder(&folder).read()?;
        ensure(printed.starts_with(hash), || {
            format!("`{command}` printed {printed:?} and not the hash {hash}")
        })?;
    }
    Ok("the hash of the example is recomputed with jq and with Python".to_owned())
}

/// The first code block of `language`.
fn block<'a>(text: &'a str, language: &str) -> Result<&'a str> {
    let start = format!("```{language}\n");
    let block = text.split_once(&start).and_then(|(_, rest)| rest.split_once("```"));
    Ok(block.ok_or_else(|| format!("there is no block of {language}"))?.0)
}
