//! System calls that need care: permissions, file identity, syncing folders, positional reads that
//! wait for the disk or not.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What stays the same when a file is renamed, and differs between files, also those that had the
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
        let born = born.map_or(0, |since| nanos(since.as_secs(), since.subsec_nanos()));
        Self { device: metadata.dev(), number: metadata.ino(), born }
    }

    /// The number on its file system: stays the same when that is mounted elsewhere.
    pub(crate) fn number(self) -> u64 {
        self.number
    }

    /// When the file was made, in nanoseconds since 1970; 0 where the file system does not say. Stays
    /// the same, too, and a copy from a backup that comes by the number of another has its own.
    pub(crate) fn born(self) -> u64 {
        self.born
    }

    /// A file of the same number, made at another time.
    #[cfg(test)]
    pub(crate) fn reborn(self) -> Self {
        Self { born: self.born + 1, ..self }
    }
}

fn nanos(seconds: u64, nanos: u32) -> u64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos.into())
}

/// Which file `path` leads to, and its length in bytes.
pub(crate) fn look_at(path: &Path) -> io::Result<(FileId, u64)> {
    #[cfg(target_os = "linux")]
    return statx(rustix::fs::CWD, path);
    #[cfg(not(target_os = "linux"))]
    std::fs::metadata(path).map(|metadata| (FileId::of(&metadata), metadata.len()))
}

/// The length of `file` in bytes.
pub(crate) fn length_of(file: &File) -> io::Result<u64> {
    #[cfg(target_os = "linux")]
    return statx(file, Path::new("")).map(|(_, length)| length);
    #[cfg(not(target_os = "linux"))]
    file.metadata().map(|metadata| metadata.len())
}

/// The length of `file` in bytes, at a fraction of what [`length_of`] takes, but only where no other
/// thread reads or writes through the same handle: it moves the handle's place in the file.
pub(crate) fn end_of(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::End(0))
}

/// Asks for no times of changes: a file system that hands out its fine-grained ones writes the inode
/// anew at the next change, which makes every append behind a `stat` dearer.
#[cfg(target_os = "linux")]
fn statx(folder: impl std::os::fd::AsFd, path: &Path) -> io::Result<(FileId, u64)> {
    use rustix::fs::{AtFlags, StatxFlags, makedev, statx};
    let flags = if path.as_os_str().is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::empty() };
    let wanted = StatxFlags::INO | StatxFlags::SIZE | StatxFlags::BTIME;
    let found = statx(folder, path, flags, wanted)?;
    let device = makedev(found.stx_dev_major, found.stx_dev_minor);
    let has_born = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let born = u64::try_from(found.stx_btime.tv_sec).ok().filter(|_| has_born);
    let born = born.map_or(0, |seconds| nanos(seconds, found.stx_btime.tv_nsec));
    Ok((FileId { device, number: found.stx_ino, born }, found.stx_size))
}

/// Opens `path` for appending, made when missing and then readable by its owner only.
pub(crate) fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(path)
}

/// Opens `path` for reading and writing at any place, made when missing.
pub(crate) fn open_read_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Creates `path`, which must not exist yet.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes `path` and the folders above it where they are missing, for the owner only, and makes
/// their names durable.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    };
    if path.is_dir() {
        // Whoever made it may have died before its name was durable. Where the folder above is not
        // ours to read, its owner has made this one.
        let _ = sync_folder(parent);
        return Ok(());
    }
    if !parent.is_dir() {
        create_folder(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        // Another process may make it at the same moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        made => made?,
    }
    sync_folder(parent)
}

/// Makes `path` for the owner only, where it is missing. Its name need not outlive a power cut.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the names in a folder durable: what was created, renamed or unlinked in it.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
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

/// Reads what is in the page cache; `WouldBlock` when that is nothing, or when the file system
/// cannot tell.
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

/// The same error once more, for another caller that waits for the same write.
pub(crate) fn share(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_who_make_a_folder_at_once_all_find_it_made() {
        let root = tempfile::tempdir().unwrap();
        for round in 0..300 {
            let path = root.path().join(format!("{round}/audit/.attestry"));
            let start = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                let make = || {
                    start.wait();
                    create_folder(&path)
                };
                let makers: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
                makers.into_iter().for_each(|maker| maker.join().unwrap().unwrap());
            });
            assert!(path.is_dir());
        }
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        File::create(&path).unwrap();
        assert_eq!(create_folder(&path).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        let below = create_folder(&path.join("below")).unwrap_err();
        assert_eq!(below.kind(), io::ErrorKind::NotADirectory);
    }
}
