//! Files that the system does not let be changed. That needs root; without it the test is skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip;

/// A file that cannot be changed, or not be unlinked and renamed, until this is dropped.
pub(crate) enum Refusal {
    /// `chattr +i`: neither.
    Immutable(PathBuf),
    /// A file mounted on itself: it can be written, not unlinked or renamed.
    Mounted(PathBuf),
}

impl Refusal {
    pub(crate) fn immutable(path: &Path) -> Option<Self> {
        if succeeds(Command::new("chattr").arg("+i").arg(path)) {
            return Some(Self::Immutable(path.to_path_buf()));
        }
        skip("no file can be made immutable here");
        None
    }

    pub(crate) fn mounted(path: &Path) -> Option<Self> {
        if succeeds(Command::new("mount").arg("--bind").args([path, path])) {
            return Some(Self::Mounted(path.to_path_buf()));
        }
        skip("no file can be mounted here");
        None
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        let lifted = match self {
            Self::Immutable(path) => succeeds(Command::new("chattr").arg("-i").arg(path)),
            Self::Mounted(path) => succeeds(Command::new("umount").arg("-l").arg(path)),
        };
        assert!(lifted);
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
