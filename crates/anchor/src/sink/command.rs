//! Passes checkpoints to a command of the shell.

use async_trait::async_trait;
use attestry_evidence::SignedCheckpoint;
use attestry_file::FileStorage;
use tokio::process::Command;

use super::program;
use crate::anchor::{Anchor, AnchorError, HandedOver};

/// Runs a command of the shell (`sh -c`) with the checkpoint as its standard input. Exit status 0 means that
/// the checkpoint is kept. A command that takes longer than the dispatcher's timeout is killed with all
/// that it started.
///
/// ```
/// use attestry_anchor::CommandSink;
///
/// let sink = CommandSink::new("mail -s checkpoint auditor@example.com");
/// ```
#[derive(Debug, Clone)]
pub struct CommandSink {
    command: String,
}

impl CommandSink {
    /// Runs `command`. It is part of the anchor's name, and so of reports: it must not contain a secret.
    #[must_use]
    pub fn new(command: impl Into<String>) -> Self {
        Self { command: command.into() }
    }
}

#[async_trait]
impl Anchor for CommandSink {
    fn name(&self) -> String {
        format!("command {}", self.command)
    }

    async fn hand_over(
        &self,
        checkpoint: &SignedCheckpoint,
        _: &FileStorage,
    ) -> Result<HandedOver, AnchorError> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.command);
        let output = program::run(command, &self.command, checkpoint.as_str().as_bytes()).await?;
        if output.success {
            return Ok(HandedOver::default());
        }
        Err(AnchorError::Program { program: self.command.clone(), reason: output.reason })
    }
}
