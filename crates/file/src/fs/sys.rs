//! System calls that need care: permissions, file identity, syncing folders, and positional reads that
//! wait for the disk or not.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::create;
use crate::fs::open::{self, NotRegularFile};

/// Identifies a file: survives a rename, and differs between files, also those that had the inode
/// number before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId {
    device: u64,
    number: u64,
    born: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let nanos = born.and_then(|since| u64::try_from(since.as_nanos()).ok());
        Self { device: metadata.dev(), number: metadata.ino(), born: nanos.unwrap_or(0) }
    }

    /// The inode number. It is the same where the file system is mounted elsewhere.
    pub(crate) fn number(self) -> u64 {
        self.number
    }

    /// When the file was created, in nanoseconds since 1970; 0 where the file system does not store
    /// that. It is the same where the file system is mounted elsewhere, and another one in a copy
    /// restored from a backup that happens to get the inode number of another file.
    pub(crate) fn born(self) -> u64 {
        self.born
    }

    /// A file with the same inode number, created at another time.
    #[cfg(test)]
    pub(crate) fn reborn(self) -> Self {
        Self { born: self.born + 1, ..self }
    }
}

/// What a change of a file changes, also one in place. Appending, erasing, renaming, linking and a change of
/// the owner do that, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FileState {
    /// In bytes.
    pub(crate) length: u64,
    /// The time of the last change of content or attributes (ctime) in nanoseconds since 1970. No program
    /// can set it back.
    pub(crate) changed: u64,
}

impl FileState {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
        let nanos = u64::try_from(metadata.ctime_nsec()).unwrap_or(0);
        let changed = seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Self { length: metadata.len(), changed }
    }

    /// Whether a file that was in this state has been changed in place. One that has grown was appended to,
    /// by all that is known.
    pub(crate) fn is_replaced_by(self, now: Self) -> bool {
        self.changed != now.changed && self.length >= now.length
    }

    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::of(&metadata))
    }
}

/// Identity and length in bytes of the file at `path`.
pub(crate) fn id_and_length(path: &Path) -> io::Result<(FileId, u64)> {
    open::metadata(path).map(|metadata| (FileId::of(&metadata), metadata.len()))
}

/// The length of `file` in bytes.
pub(crate) fn length_of(file: &File) -> io::Result<u64> {
    file.metadata().map(|metadata| metadata.len())
}

/// More than a crash leaves: what was written last and not synced.
#[cfg(target_os = "linux")]
const MAX_HOLE_BYTES: u64 = 256 << 20;

/// `metadata`, that of the file at `path`, unless large parts of the file were never written. A sparse file has
/// any length at no cost; reading it, or moving its end to quarantine, would take hours, or the whole disk.
#[cfg(target_os = "linux")]
pub(crate) fn without_large_hole(path: &Path, metadata: Metadata) -> io::Result<Metadata> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    // Fewer blocks than bytes are common on file systems that compress; only these need a closer look.
    let allocated = metadata.blocks().saturating_mul(512);
    if allocated.saturating_add(MAX_HOLE_BYTES) >= metadata.len() {
        return Ok(metadata);
    }
    let file = open::read(path)?;
    let (mut at, mut missing) = (0, 0_u64);
    while at < metadata.len() {
        // `NXIO`: no data behind.
        let data = match seek(&file, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => metadata.len(),
            data => data?,
        };
        missing = missing.saturating_add(data.saturating_sub(at));
        if missing > MAX_HOLE_BYTES {
            let message = format!(
                "it has {} bytes, large parts of which were never written; move it away, or restore it from \
                 a backup",
                metadata.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        at = match seek(&file, SeekFrom::Hole(data)) {
            Err(Errno::NXIO) => metadata.len(),
            hole => hole?.max(data),
        };
    }
    Ok(metadata)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn without_large_hole(_: &Path, metadata: Metadata) -> io::Result<Metadata> {
    Ok(metadata)
}

/// Creates `path` and its parents where they are missing, for the owner only, and makes their names
/// durable.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let parent = create::parent_of(path);
    if path.is_dir() {
        // The process that created it may have died before its name was durable. Where this user may
        // not read the parent, another user has created the folder and synced its name.
        let _ = sync_folder(parent);
        return Ok(());
    }
    if !parent.is_dir() {
        create_folder(parent)?;
    }
    match create::folder(path) {
        // Another process may create it at the same moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        created => created?,
    }
    sync_folder(parent)
}

/// Creates the folder `path` for the owner only where it is missing. Its name need not survive a power
/// cut.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    match create::folder(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        created => created,
    }
}

/// Makes the names in a folder durable: those that were created, renamed or unlinked.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Puts everything that was written to the file system of the folder `path` on stable storage.
#[cfg(feature = "evidence")]
pub(crate) fn sync_filesystem(path: &Path) -> io::Result<()> {
    let folder = File::open(path)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    #[cfg(not(target_os = "linux"))]
    {
        drop(folder);
        rustix::fs::sync();
    }
    Ok(())
}

/// Puts the data of `file` on stable storage.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    #[cfg(all(test, feature = "evidence"))]
    failing_sync::check()?;
    file.sync_data()
}

/// Lets a later [`sync_data`] of this thread fail.
#[cfg(all(test, feature = "evidence"))]
pub(crate) mod failing_sync {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static SYNCS_LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// The sync after the next `succeeding` ones fails, that one only.
    pub(crate) fn after(succeeding: usize) {
        SYNCS_LEFT.set(Some(succeeding));
    }

    /// Whether that sync has failed. If not, none will.
    pub(crate) fn has_happened() -> bool {
        SYNCS_LEFT.take().is_none()
    }

    pub(super) fn check() -> io::Result<()> {
        let left = SYNCS_LEFT.get();
        SYNCS_LEFT.set(left.and_then(|left| left.checked_sub(1)));
        if left == Some(0) { Err(io::Error::other("injected")) } else { Ok(()) }
    }
}

/// Whether a read may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IoMode {
    Blocking,
    /// For threads that must not block: reads only what the page cache holds, and fails with
    /// `WouldBlock` otherwise.
    Cached,
}

/// Fills `buffer` from `offset` on.
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    read_exact_at_with(file, buffer, offset, IoMode::Blocking)
}

/// [`read_exact_at`] that waits for the disk or not.
pub(crate) fn read_exact_at_with(
    file: &File,
    buffer: &mut [u8],
    offset: u64,
    mode: IoMode,
) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_at_with(file, &mut buffer[filled..], offset + filled as u64, mode)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

/// Reads up to `buffer.len()` bytes from `offset` on; 0 at the end of the file.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    read_at_with(file, buffer, offset, IoMode::Blocking)
}

/// [`read_at`] that waits for the disk or not.
pub(crate) fn read_at_with(
    file: &File,
    buffer: &mut [u8],
    offset: u64,
    mode: IoMode,
) -> io::Result<usize> {
    loop {
        let read = match mode {
            IoMode::Blocking => file.read_at(buffer, offset),
            IoMode::Cached => read_cached_at(file, buffer, offset),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Reads what the page cache holds (`RWF_NOWAIT`); `WouldBlock` when that is nothing, or when the file
/// system cannot tell.
#[cfg(target_os = "linux")]
fn read_cached_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    match preadv2(file, &mut [io::IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::WouldBlock.into()),
        result => Ok(result?),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_cached_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Copies an error, for another waiter of the same write.
pub(crate) fn share(error: &io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<NotRegularFile>());
    match (error.raw_os_error(), inner) {
        (Some(code), _) => io::Error::from_raw_os_error(code),
        (None, Some(found)) => (*found).into(),
        (None, None) => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_creations_of_a_folder_all_succeed() {
        let root = tempfile::tempdir().unwrap();
        for round in 0..300 {
            let path = root.path().join(format!("{round}/audit/.attestry"));
            let start = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                let create = || {
                    start.wait();
                    create_folder(&path)
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
            });
            assert!(path.is_dir());
        }
    }

    #[test]
    fn file_in_place_of_a_folder_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        File::create(&path).unwrap();
        assert_eq!(create_folder(&path).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        let below = create_folder(&path.join("below")).unwrap_err();
        assert_eq!(below.kind(), io::ErrorKind::NotADirectory);
    }
}
