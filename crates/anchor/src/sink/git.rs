//! Commits checkpoints to a git repository.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use attestry_evidence::SignedCheckpoint;
use attestry_file::FileStorage;
use tokio::process::Command;

use super::file::plain;
use super::program::{self, Output};
use crate::anchor::{Anchor, AnchorError, HandedOver};

/// Commits the latest checkpoint to a clone of a git repository, and pushes it if the clone has a remote.
///
/// The file is named by the origin of the log. Each checkpoint is a commit, by `attestry`. A push that is
/// rejected because the repository has changed is repeated once after `git pull --rebase`. The `git` program
/// must be installed, and must not need to ask for credentials. Use a clone that nothing else works in.
#[derive(Debug, Clone)]
pub struct GitSink {
    clone: PathBuf,
}

impl GitSink {
    /// Commits to the clone in the folder `clone`.
    #[must_use]
    pub fn new(clone: impl Into<PathBuf>) -> Self {
        Self { clone: clone.into() }
    }

    async fn git(&self, arguments: &[&str]) -> Result<Output, AnchorError> {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(&self.clone)
            .args(["-c", "user.name=attestry", "-c", "user.email=attestry@localhost"])
            .args(arguments)
            .env("GIT_TERMINAL_PROMPT", "0");
        program::run(command, "git", b"").await
    }

    /// Fails if the command does.
    async fn must(&self, arguments: &[&str]) -> Result<Output, AnchorError> {
        let output = self.git(arguments).await?;
        if output.success {
            return Ok(output);
        }
        let program = format!("git {} in {}", arguments[0], self.clone.display());
        Err(AnchorError::Program { program, reason: output.reason })
    }
}

#[async_trait]
impl Anchor for GitSink {
    fn name(&self) -> String {
        format!("git {}", self.clone.display())
    }

    async fn hand_over(
        &self,
        checkpoint: &SignedCheckpoint,
        _: &FileStorage,
    ) -> Result<HandedOver, AnchorError> {
        let mut lines = checkpoint.as_str().lines();
        let (origin, size) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let name = format!("{}.checkpoint", plain(origin));
        self.must(&["rev-parse", "--git-dir"]).await?;
        replace(&self.clone, &name, checkpoint.as_str()).await?;
        self.must(&["add", "--", &name]).await?;
        // Committed before, if a push failed then.
        if !self.git(&["diff", "--cached", "--quiet", "--", &name]).await?.success {
            let message = format!("Checkpoint of {size} leaves of {origin}");
            self.must(&["commit", "--quiet", "--message", &message, "--", &name]).await?;
        }
        let has_remote = !self.must(&["remote"]).await?.stdout.trim().is_empty();
        if has_remote && !self.git(&["push", "--quiet"]).await?.success {
            self.must(&["pull", "--quiet", "--rebase"]).await?;
            self.must(&["push", "--quiet"]).await?;
        }
        Ok(HandedOver::default())
    }
}

async fn replace(folder: &Path, name: &str, text: &str) -> Result<(), AnchorError> {
    let temporary = folder.join(format!(".{name}.tmp"));
    let path = folder.join(name);
    let failed = |source| AnchorError::Io { path: path.display().to_string(), source };
    tokio::fs::write(&temporary, text).await.map_err(failed)?;
    tokio::fs::rename(&temporary, &path).await.map_err(failed)
}
