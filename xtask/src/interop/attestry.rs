//! Runs the `attestry` program on one store.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ensure;
use crate::cmd::{Cmd, Finished, Result};

/// Exit status of success.
const DONE: i32 = 0;
/// Exit status of "not found".
const NOT_THERE: i32 = 1;

/// The program, the store and the key.
pub(super) struct Attestry {
    program: PathBuf,
    store: PathBuf,
    key_file: Option<PathBuf>,
}

impl Attestry {
    pub(super) fn new(program: &Path, store: &Path) -> Self {
        Self { program: program.to_path_buf(), store: store.to_path_buf(), key_file: None }
    }

    pub(super) fn with_key_file(mut self, key_file: &Path) -> Self {
        self.key_file = Some(key_file.to_path_buf());
        self
    }

    /// The output; any exit status but success is an error.
    pub(super) fn done(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.with_status(DONE, arguments)?.stdout)
    }

    /// The stored lines, in order of time.
    pub(super) fn list(&self) -> Result<Vec<String>> {
        Ok(self.done(&["list", "--format", "json"])?.lines().map(str::to_owned).collect())
    }

    pub(super) fn count(&self) -> Result<usize> {
        let printed = self.done(&["count"])?;
        printed.trim().parse().map_err(|_| format!("`count` printed {printed:?}").into())
    }

    /// The entry with this id, decrypted if there is a key.
    pub(super) fn get(&self, id: &str) -> Result<Value> {
        let decrypt = if self.key_file.is_some() { &["--decrypt"][..] } else { &[] };
        let printed = self.done(&[&["get", id], decrypt].concat())?;
        serde_json::from_str(&printed)
            .map_err(|error| format!("`get {id}` printed no JSON ({error}): {printed:?}").into())
    }

    /// Fails if there is an entry with this id.
    pub(super) fn ensure_absent(&self, id: &str) -> Result {
        self.with_status(NOT_THERE, &["get", id]).map(drop)
    }

    /// The output of a command that ends with "not found".
    pub(super) fn not_well(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.with_status(NOT_THERE, arguments)?.stdout)
    }

    fn with_status(&self, expected: i32, arguments: &[&str]) -> Result<Finished> {
        let mut command = Cmd::new(&self.program)
            .without_env("ATTESTRY_STORE")
            .without_env("ATTESTRY_KEY")
            .without_env("ATTESTRY_KEY_FILE")
            .without_env("ATTESTRY_SIGNING_KEY_FILE")
            .without_env("ATTESTRY_ERASURE_KEY_FILE")
            .without_env("ATTESTRY_STATE")
            .arg("--store")
            .arg(&self.store)
            .arg("--state")
            .arg(self.store.with_extension("signed"));
        if let Some(key_file) = &self.key_file {
            command = command.arg("--key-file").arg(key_file);
        }
        let command = command.args(arguments);
        let finished = command.finish()?;
        ensure(finished.code == Some(expected), || {
            format!(
                "exit status {expected} was expected: {}\n\nto see it again:\n\n    {command}",
                finished.summary()
            )
        })?;
        Ok(finished)
    }
}
