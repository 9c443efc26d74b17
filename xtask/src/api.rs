//! The public items of every published library, listed in `docs/api/` so that a review sees each change.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use public_api::Builder;

use crate::cmd::Result;
use crate::workspace::{Package, Workspace};

const LISTINGS: &str = "docs/api";

/// What rustdoc's JSON form, which is unstable, needs.
const FLAGS: &str = "-Zunstable-options --output-format=json --cap-lints=allow";

/// Compares the listings with the code, or writes them with `--renew`.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result {
    let renew = match arguments {
        [] => false,
        ["--renew"] => true,
        _ => return Err("api takes --renew or nothing".into()),
    };
    let json = build(workspace)?;
    let mut problems = String::new();
    let libraries = workspace.packages.iter().filter(|package| is_library(package));
    for package in libraries {
        let path = workspace.path(LISTINGS).join(format!("{}.txt", package.name));
        let listing = listing(&json.join(format!("{}.json", package.name.replace('-', "_"))))?;
        if renew {
            fs::create_dir_all(workspace.path(LISTINGS))?;
            fs::write(&path, listing)?;
            continue;
        }
        let recorded = fs::read_to_string(&path).unwrap_or_default();
        if recorded != listing {
            // Writing to a String cannot fail.
            let _ = write!(problems, "{}:\n{}\n", package.name, difference(&recorded, &listing));
        }
    }
    if renew {
        println!("  wrote {LISTINGS}");
    } else if !problems.is_empty() {
        return Err(format!(
            "the public API differs from {LISTINGS}:\n\n{problems}\
             If that is intended, record it and mention it in CHANGELOG.md:\n\n    cargo xtask api --renew"
        )
        .into());
    }
    Ok(())
}

fn is_library(package: &Package) -> bool {
    package.published && package.folder().join("src/lib.rs").is_file()
}

/// Documents all libraries in rustdoc's JSON form; returns the folder of the files.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    workspace
        .cargo()
        .args(["doc", "--workspace", "--lib", "--no-deps", "--all-features"])
        .env("RUSTDOC", rustdoc(workspace)?)
        .env("RUSTDOCFLAGS", FLAGS)
        .run_as("cargo doc --workspace --lib, as JSON")?;
    Ok(workspace.target.join("doc"))
}

/// A rustdoc that accepts unstable options. Setting the variable for all of cargo would rebuild most dependencies, whose
/// build scripts depend on it.
fn rustdoc(workspace: &Workspace) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;

    let tools = workspace.target.join("tools");
    fs::create_dir_all(&tools)?;
    let path = tools.join("unstable-rustdoc");
    let program = std::env::var("RUSTDOC").unwrap_or_else(|_| "rustdoc".to_owned());
    let script = format!("#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec '{program}' \"$@\"\n");
    if fs::read_to_string(&path).ok().as_ref() != Some(&script) {
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

/// One item a line, without the impls that every type has or that `derive` makes.
fn listing(json: &Path) -> Result<String> {
    let api = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|error| {
            format!(
                "cannot read {}: {error}; the listings are made with the compiler that is \
                 rust-version in Cargo.toml",
                json.display()
            )
        })?;
    Ok(api.items().map(|item| format!("{item}\n")).collect())
}

/// The lines that only one of both has.
fn difference(recorded: &str, listing: &str) -> String {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) =
        (recorded.lines().collect(), listing.lines().collect());
    let removed = old.difference(&new).map(|line| format!("  - {line}\n"));
    let added = new.difference(&old).map(|line| format!("  + {line}\n"));
    removed.chain(added).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_removed_and_added_items() {
        assert_eq!(difference("a\nb\n", "b\nc\n"), "  - a\n  + c\n");
    }
}
