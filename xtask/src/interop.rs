//! Interop with the real Python package on one store, in both directions.

mod anchors;
mod attestry;
mod calls;
mod evidence;
mod from_python;
mod messages;
mod python;
mod to_python;

use std::fmt;
use std::path::PathBuf;

use attestry::Attestry;
pub(crate) use python::{PACKAGE, Python};

use crate::cmd::Result;
use crate::workspace::{Profile, Workspace, emptied};

/// The content policy of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Hashes only.
    Hash,
    /// Plain text.
    Plain,
    /// Encrypted text.
    Encrypted,
}

impl Content {
    const ALL: [Self; 3] = [Self::Hash, Self::Plain, Self::Encrypted];
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hash => "hash",
            Self::Plain => "plain",
            Self::Encrypted => "encrypted",
        })
    }
}

/// A store that both sides use.
struct Shared<'a> {
    python: &'a Python,
    attestry: Attestry,
    /// The folder of the store and its key.
    folder: PathBuf,
    content: Content,
}

impl Shared<'_> {
    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// The key file, with encryption.
    fn key_file(&self) -> Option<PathBuf> {
        (self.content == Content::Encrypted).then(|| self.folder.join("key.txt"))
    }

    /// The arguments for a Python script: the store and its key.
    fn python_arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments = vec![self.store().into_os_string()];
        if let Some(key_file) = self.key_file() {
            arguments.extend(["--key-file".into(), key_file.into_os_string()]);
        }
        arguments
    }
}

/// Checks every kind of content in both directions. The stores stay under `target/interop/run`.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let python = Python::prepare(workspace)?;
    let program = workspace.build_cli(Profile::Dev)?;
    let run = emptied(workspace.target.join("interop").join("run"))?;
    for (name, check) in [
        ("from-python", from_python::check as fn(&Shared<'_>) -> Result<String>),
        ("to-python", to_python::check),
    ] {
        for content in Content::ALL {
            let folder = emptied(run.join(format!("{name}-{content}")))?;
            let mut shared = Shared {
                python: &python,
                attestry: Attestry::new(&program, &folder.join("store")),
                folder,
                content,
            };
            if let Some(key_file) = shared.key_file() {
                shared.attestry = shared.attestry.with_key_file(&key_file);
            }
            let done = check(&shared).map_err(|error| {
                format!("{name}, {content}: {error}\n\nThe store is {}", shared.store().display())
            })?;
            println!("  {name}, {content}: {done}");
        }
    }
    println!("  calls: {}", calls::check(workspace, &python, &program, &run)?);
    println!("  messages: {}", messages::check(workspace, &program, &run)?);
    println!("  evidence: {}", evidence::check(workspace, &python, &program, &run)?);
    println!("  anchors: {}", anchors::check(workspace, &program, &run)?);
    Ok(())
}

/// Fails with `message()` unless `holds` is true.
fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result {
    if holds { Ok(()) } else { Err(message().into()) }
}

/// Fails unless both are equal; `what` names them.
fn ensure_equal<T: PartialEq + fmt::Debug>(what: &str, expected: &T, found: &T) -> Result {
    ensure(expected == found, || {
        format!("{what} differs\n  expected {expected:?}\n  found    {found:?}")
    })
}
