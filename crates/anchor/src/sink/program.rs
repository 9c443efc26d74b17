//! Runs a program with a checkpoint as its input.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::anchor::AnchorError;

/// The end of its output that is kept.
const KEPT_OUTPUT: usize = 2_048;

/// What a program printed; the last part of it.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) success: bool,
    pub(super) stdout: String,
    /// Its exit status, and the end of what it printed on standard error.
    pub(super) reason: String,
}

/// Runs `command` to its end with `input` as its standard input. When the future is dropped, the program
/// and all that it started are killed.
pub(super) async fn run(
    mut command: Command,
    name: &str,
    input: &[u8],
) -> Result<Output, AnchorError> {
    let failed = |error: std::io::Error| AnchorError::Program {
        program: name.to_owned(),
        reason: error.to_string(),
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program need not read its input.
            let _ = stdin.write_all(input).await;
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ((), stdout, stderr, status) =
        tokio::join!(write, last_of(stdout), last_of(stderr), child.wait());
    group.0 = None;
    let status = status.map_err(failed)?;
    let stderr = stderr.trim();
    let reason = if stderr.is_empty() { status.to_string() } else { format!("{status}: {stderr}") };
    Ok(Output { success: status.success(), stdout, reason })
}

/// Reads to the end and returns the last part, printable characters only.
async fn last_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut kept, mut chunk) = (Vec::new(), [0; 4_096]);
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..count]);
        kept.drain(..kept.len().saturating_sub(KEPT_OUTPUT));
    }
    let text = String::from_utf8_lossy(&kept);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A running process group. Dropping it kills the group.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended just now.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
