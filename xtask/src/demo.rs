//! The README's first command: records, lists and verifies real input, step by step.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cmd::{Cmd, Result};
use crate::workspace::{Profile, Workspace};

const SAMPLES: &str = "samples/interactions.jsonl";

/// Records the interactions of `file`, or the samples, in a fresh store; lists and verifies them.
pub(crate) fn run(workspace: &Workspace, file: Option<&str>) -> Result {
    let file = file.unwrap_or(SAMPLES);
    let folder = if file == SAMPLES { workspace.root.clone() } else { std::env::current_dir()? };
    if !folder.join(file).is_file() {
        return Err(format!("no file {file}").into());
    }
    let program = workspace.build_cli(Profile::Dev)?;
    let store = fresh_folder(&workspace.target.join("demo"))?.join("audit");
    // Printed as a shell session, with the store in the environment.
    println!("\n$ export ATTESTRY_STORE={}", shown(&store, &folder));
    for arguments in [
        &["import", file][..],
        &["list", "--limit", "5"],
        &["stats"],
        &["check", "--against", file],
    ] {
        println!();
        Cmd::new(&program)
            .args(arguments)
            .env("ATTESTRY_STORE", &store)
            .without_env("ATTESTRY_KEY")
            .without_env("ATTESTRY_KEY_FILE")
            .folder(&folder)
            .run_as(&Cmd::new("attestry").args(arguments).to_string())?;
    }
    println!("\nThe store is {}", shown(&store, &folder));
    println!("The program is {}", shown(&program, &folder));
    println!(
        "\nTo look at it in a browser:\n\n    {} view {}",
        shown(&program, &folder),
        shown(&store, &folder)
    );
    Ok(())
}

/// A new folder `parent/N`; earlier demos are kept.
fn fresh_folder(parent: &Path) -> Result<PathBuf> {
    fs::create_dir_all(parent)?;
    for number in 1.. {
        let folder = parent.join(number.to_string());
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("cannot create {}: {error}", folder.display()).into()),
        }
    }
    Err("no free folder number".into())
}

/// The path relative to `folder`, if below it.
fn shown(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}
