//! Both directions between Attestry and the real Python package, in the store's own format.

mod attestry;
mod evidence;
mod from_python;
mod python;
mod to_python;

use std::fmt;
use std::path::PathBuf;

use attestry::Attestry;
pub(crate) use python::{PACKAGE, Python};

use crate::cmd::Result;
use crate::workspace::{Profile, Workspace, emptied};

/// What a store keeps of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Only their hashes.
    Hash,
    /// The texts as they are.
    Plain,
    /// The texts encrypted.
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

/// One store that both sides work on.
struct Shared<'a> {
    python: &'a Python,
    attestry: Attestry,
    /// Where the store and what belongs to it lie.
    folder: PathBuf,
    content: Content,
}

impl Shared<'_> {
    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// The key's file, where there is encryption.
    fn key_file(&self) -> Option<PathBuf> {
        (self.content == Content::Encrypted).then(|| self.folder.join("key.txt"))
    }

    /// The arguments that name the store and its key to one of our Python scripts.
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
    println!("  evidence: {}", evidence::check(workspace, &python, &program, &run)?);
    Ok(())
}

/// Fails with `message()` unless `holds`.
fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result {
    if holds { Ok(()) } else { Err(message().into()) }
}

/// Fails unless both are equal, saying `what` they are.
fn ensure_equal<T: PartialEq + fmt::Debug>(what: &str, expected: &T, found: &T) -> Result {
    ensure(expected == found, || {
        format!("{what} differs\n  expected {expected:?}\n  found    {found:?}")
    })
}
