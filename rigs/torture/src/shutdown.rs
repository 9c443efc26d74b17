//! Shutting a file system down, as a power cut does.

use std::fs::File;
use std::path::Path;

use crate::outcome::Result;

/// `FS_IOC_SHUTDOWN`, which is `_IOR('X', 125, __u32)`.
const FS_IOC_SHUTDOWN: rustix::ioctl::Opcode = 0x8004_587d;
/// Without flushing the log: unwritten data is lost.
const NO_LOG_FLUSH: u32 = 2;

/// Shuts down the file system of `path`. Every later call on it fails; mounting it again shows the state of the disk.
#[allow(unsafe_code)] // No dependency wraps this ioctl.
pub(crate) fn file_system(path: &Path) -> Result {
    let folder = File::open(path)?;
    // SAFETY: the call reads one `u32` through the pointer that `Setter` passes, and does not keep the pointer.
    unsafe {
        let shutdown = rustix::ioctl::Setter::<FS_IOC_SHUTDOWN, u32>::new(NO_LOG_FLUSH);
        rustix::ioctl::ioctl(&folder, shutdown)?;
    }
    Ok(())
}
