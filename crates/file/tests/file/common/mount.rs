//! Small file systems for one test. They need root; without it the test is skipped.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::skip;

/// A mounted file system; unmounted when dropped.
pub(crate) struct Mount(TempDir);

impl Mount {
    /// Mounts a tmpfs; `None` if that is not permitted.
    pub(crate) fn new(options: &str) -> Option<Self> {
        Self::of(["-t", "tmpfs", "-o", options, "tmpfs"], "a tmpfs")
    }

    fn of<const N: usize>(arguments: [&str; N], what: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        if succeeds(Command::new("mount").args(arguments).arg(folder.path())) {
            return Some(Self(folder));
        }
        skip(&format!("this user may not mount {what}"));
        None
    }

    /// Changes the mount options; returns whether the kernel allowed it.
    pub(crate) fn remount(&self, options: &str) -> bool {
        let options = format!("remount,{options}");
        succeeds(Command::new("mount").args(["-o", &options]).arg(self.root()))
    }

    /// The folder for a store.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("audit")
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// Fills the file system up to the last byte.
    pub(crate) fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        while filler.write(&[0; 4_096]).is_ok_and(|count| count > 0) {}
    }

    /// Frees the space. Truncates first: a process that another test is just spawning may hold the file
    /// open, which keeps the blocks of an unlinked file allocated.
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

/// An ext4 file system in an image file, mounted with `errors=remount-ro`, a common default.
pub(crate) struct Disk {
    mount: Option<Mount>,
    folder: TempDir,
}

impl Disk {
    pub(crate) fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Self { mount: None, folder };
        fs::File::create(disk.image()).unwrap().set_len(16 << 20).unwrap();
        if !succeeds(Command::new("mkfs.ext4").arg("-q").arg(disk.image())) {
            skip("mkfs.ext4 is not installed");
            return None;
        }
        disk.mount();
        disk.mount.is_some().then_some(disk)
    }

    fn mount(&mut self) {
        let image = self.image();
        let options = ["-t", "ext4", "-o", "loop,errors=remount-ro", image.to_str().unwrap()];
        self.mount = Mount::of(options, "an ext4 on a loop device");
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// The folder for a store. Another path after [`repair`](Self::repair).
    pub(crate) fn path(&self) -> PathBuf {
        self.mount.as_ref().unwrap().path()
    }

    /// Triggers an ext4 error: the kernel makes the file system read-only at once, for open files too.
    pub(crate) fn fail(&self) {
        let root = self.mount.as_ref().unwrap().root().to_str().unwrap();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(root)).unwrap();
        let device = line.split(' ').next().unwrap().trim_start_matches("/dev/");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").unwrap();
    }

    /// Unmounts the file system, runs `e2fsck` and mounts it again.
    pub(crate) fn repair(&mut self) {
        self.mount = None;
        // The lazy unmount ends when the last file is closed; a process that another test is just
        // spawning may hold one.
        let check = || succeeds(Command::new("e2fsck").args(["-f", "-y"]).arg(self.image()));
        for _ in 0..500 {
            if !self.is_attached() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // e2fsck exits with an error code when it corrected something; the second run is clean.
        assert!(check() || check());
        self.mount();
        assert!(self.mount.is_some());
    }

    fn is_attached(&self) -> bool {
        let attached = Command::new("losetup").arg("-j").arg(self.image()).output().unwrap();
        !attached.stdout.is_empty()
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
