//! Small file systems of a test's own, which takes root; elsewhere a test says so and passes.
#![allow(clippy::print_stderr)] // a skip is told

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A tmpfs of its own, unmounted when dropped.
pub(crate) struct Mount(TempDir);

impl Mount {
    pub(crate) fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => {
                eprintln!("skipped: this user may not mount a tmpfs");
                None
            }
        }
    }

    /// Where a store goes.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("audit")
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no room at all.
    pub(crate) fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        while filler.write(&[0; 4_096]).is_ok_and(|count| count > 0) {}
    }

    /// Makes room again, at once: a process that another test is just starting may have the file open.
    pub(crate) fn free(&self) {
        fs::File::create(self.filler()).unwrap();
        fs::remove_file(self.filler()).unwrap();
    }

    pub(crate) fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}
