//! System programs: file systems on loop devices.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::outcome::{Result, Stop, failed, skipped};

/// Runs a program and returns its output; a failure is an error.
pub(crate) fn run<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String> {
    let output = finish(Command::new(program).args(arguments))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return failed(format!("{program}: {reason}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program and returns its output and status.
pub(crate) fn finish(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    output.map_err(|error| Stop::Failed(format!("cannot start {name}: {error}")))
}

/// Skips the test if the program is not installed.
pub(crate) fn need(program: &str) -> Result {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    if std::env::split_paths(&path).chain(sbin).any(|folder| folder.join(program).is_file()) {
        return Ok(());
    }
    skipped(format!("{program} is not installed"))
}

/// Skips the test if mounting is not possible.
pub(crate) fn need_mounts() -> Result {
    for program in ["mount", "umount", "losetup", "mkfs.ext4"] {
        need(program)?;
    }
    if run("id", ["-u"])? != "0" {
        return skipped("mounting file systems needs root");
    }
    let free = run("losetup", ["-f"]);
    free.map(drop).or_else(|_| skipped("no loop device is available"))
}

/// A mounted file system; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    at: PathBuf,
    mounted: bool,
}

impl Mount {
    pub(crate) fn device(device: &Device, at: &Path) -> Result<Self> {
        Self::new(&[device.path.as_ref(), at.as_ref()], at)
    }

    pub(crate) fn tmpfs(kib: usize, at: &Path) -> Result<Self> {
        let size = format!("size={kib}k");
        let arguments = ["-t", "tmpfs", "-o", &size, "tmpfs"].map(OsStr::new);
        Self::new(&[&arguments[..], &[at.as_ref()]].concat(), at)
    }

    fn new(arguments: &[&OsStr], at: &Path) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        match run("mount", arguments) {
            Ok(_) => Ok(Self { at: at.to_path_buf(), mounted: true }),
            Err(Stop::Failed(reason)) if reason.contains("unknown filesystem") => skipped(reason),
            Err(Stop::Failed(reason)) if reason.contains("permission denied") => skipped(reason),
            Err(other) => Err(other),
        }
    }

    /// Changes mount options, for example `ro` or `size=…`.
    pub(crate) fn remount(&self, options: &str) -> Result {
        let options = format!("remount,{options}");
        run("mount", [OsStr::new("-o"), options.as_ref(), self.at.as_ref()]).map(drop)
    }

    /// Unmounts.
    pub(crate) fn unmount(mut self) -> Result {
        self.mounted = false;
        // A process may still be closing its files.
        for _ in 0..100 {
            if run("umount", [&self.at]).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.mounted = true;
        run("umount", [&self.at]).map(drop)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted && run("umount", [&self.at]).is_err() {
            let _ = run("umount", [OsStr::new("-l"), self.at.as_ref()]);
        }
    }
}

/// A loop device on an image file; detached when dropped.
#[derive(Debug)]
pub(crate) struct Device {
    path: PathBuf,
}

impl Device {
    /// A device on a sparse file of `mib` MiB, formatted with `mkfs`.
    pub(crate) fn formatted(image: &Path, mib: u64, mkfs: &str, options: &[&str]) -> Result<Self> {
        std::fs::File::create(image)?.set_len(mib << 20)?;
        run(mkfs, options.iter().map(OsStr::new).chain([image.as_ref()]))?;
        let path = run("losetup", [OsStr::new("-f"), "--show".as_ref(), image.as_ref()]);
        match path {
            Ok(path) => Ok(Self { path: path.into() }),
            Err(Stop::Failed(reason)) => skipped(format!("no loop device: {reason}")),
            Err(skipped) => Err(skipped),
        }
    }
}

impl Device {
    /// Limits requests to one page. The loop driver of some kernels (6.17, for example) reports a partial write to its
    /// file as success; a page is never split.
    pub(crate) fn limit_to_pages(&self) -> Result {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let limit = format!("/sys/block/{name}/queue/max_sectors_kb");
        std::fs::write(&limit, "4").or_else(|error| skipped(format!("{limit}: {error}")))
    }
}

impl Device {
    /// Whether the unmounted ext4 file system on it is damaged.
    pub(crate) fn is_damaged(&self) -> Result<bool> {
        let output = finish(Command::new("e2fsck").arg("-fn").arg(&self.path))?;
        const ERRORS_LEFT: i32 = 4;
        Ok(output.status.code().is_some_and(|code| code & ERRORS_LEFT != 0))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = run("losetup", [OsStr::new("-d"), self.path.as_ref()]);
    }
}
