//! Cutting a file system off from its disk, as a power cut does.

use std::fs::File;
use std::path::Path;

use crate::outcome::Result;

/// `FS_IOC_SHUTDOWN`, which is `_IOR('X', 125, __u32)`.
const FS_IOC_SHUTDOWN: rustix::ioctl::Opcode = 0x8004_587d;
/// Without flushing the log: what is not on the disk by now never gets there.
const NO_LOG_FLUSH: u32 = 2;

/// Shuts the file system down that `path` lies on. Every later call on it fails; unmounting and
/// mounting it shows what was on the disk.
#[allow(unsafe_code)] // The only ioctl here; nothing we depend on wraps it.
pub(crate) fn file_system(path: &Path) -> Result {
    let folder = File::open(path)?;
    // SAFETY: the call reads one `u32` behind the pointer that `Setter` passes, and keeps nothing.
    unsafe {
        let shutdown = rustix::ioctl::Setter::<FS_IOC_SHUTDOWN, u32>::new(NO_LOG_FLUSH);
        rustix::ioctl::ioctl(&folder, shutdown)?;
    }
    Ok(())
}
