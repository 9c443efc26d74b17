//! Small file systems for one test. They need root; without it the test is skipped.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::skip;

/// A file system of its own, unmounted when dropped.
pub(crate) struct Mount(TempDir);

impl Mount {
    /// A tmpfs.
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

    /// Changes its options; whether the system allows that.
    pub(crate) fn remount(&self, options: &str) -> bool {
        let options = format!("remount,{options}");
        succeeds(Command::new("mount").args(["-o", &options]).arg(self.root()))
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

/// An ext4 file system in an image file, mounted so that an error makes it read-only, as on many machines.
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

    /// Where a store goes; somewhere else once it was mended.
    pub(crate) fn path(&self) -> PathBuf {
        self.mount.as_ref().unwrap().path()
    }

    /// Has the kernel find an error: at once nothing can be written any more, by files that are open
    /// neither.
    pub(crate) fn fail(&self) {
        let root = self.mount.as_ref().unwrap().root().to_str().unwrap();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(root)).unwrap();
        let device = line.split(' ').next().unwrap().trim_start_matches("/dev/");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").unwrap();
    }

    /// Unmounts, repairs and mounts it, as an administrator has to.
    pub(crate) fn mend(&mut self) {
        self.mount = None;
        // It is unmounted when the last file is closed, perhaps that of a process that is being started.
        let checks = || succeeds(Command::new("e2fsck").args(["-f", "-y"]).arg(self.image()));
        for _ in 0..500 {
            if !self.is_attached() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // The first time something was mended, which e2fsck does not call a success.
        assert!(checks() || checks());
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
