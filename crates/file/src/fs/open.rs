//! Opens the files of a store, for every purpose. Each must be a regular file: a symbolic link could lead
//! out of the store, and opening a FIFO or a device could wait forever.

use std::error::Error;
use std::fmt;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::create;

/// What was found where a store has a regular file. It is the inner error of the [`io::Error`] in a
/// [`StorageError::Io`](attestry_core::StorageError::Io) that names the path, of kind
/// [`InvalidInput`](io::ErrorKind::InvalidInput).
///
/// ```
/// use attestry_core::StorageError;
/// use attestry_file::{FileStorage, NotRegularFile};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path();
/// std::os::unix::fs::symlink("/archive/audit_20200101.jsonl", path.join("audit_20200101.jsonl"))?;
/// let error = FileStorage::builder(path).open().await.unwrap_err();
/// let StorageError::Io { path, source, .. } = error else { panic!("{error}") };
/// assert!(path.ends_with("audit_20200101.jsonl"));
/// let found = source.get_ref().and_then(|inner| inner.downcast_ref());
/// assert_eq!(found, Some(&NotRegularFile::SymbolicLink));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotRegularFile {
    /// A symbolic link, wherever it leads to, also in place of a folder inside the store. The folder of
    /// the store itself may be one.
    SymbolicLink,
    /// A folder.
    Folder,
    /// A FIFO (named pipe).
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device.
    Device,
}

impl NotRegularFile {
    fn check(found: FileType) -> io::Result<()> {
        let problem = match found {
            found if found.is_file() => return Ok(()),
            found if found.is_symlink() => Self::SymbolicLink,
            found if found.is_dir() => Self::Folder,
            found if found.is_fifo() => Self::Fifo,
            found if found.is_socket() => Self::Socket,
            _ => Self::Device,
        };
        Err(problem.into())
    }
}

impl fmt::Display for NotRegularFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, remedy) = match self {
            Self::SymbolicLink => {
                ("a symbolic link", "put what it leads to in its place, or move the link away")
            }
            Self::Folder => ("a folder", "move it away"),
            Self::Fifo => ("a FIFO", "move it away"),
            Self::Socket => ("a socket", "move it away"),
            Self::Device => ("a device", "move it away"),
        };
        write!(
            f,
            "it is {found}, but files and folders in a store are regular files and folders; {remedy}"
        )
    }
}

impl Error for NotRegularFile {}

impl From<NotRegularFile> for io::Error {
    fn from(found: NotRegularFile) -> Self {
        Self::new(io::ErrorKind::InvalidInput, found)
    }
}

/// Opens `path` for reading.
pub(crate) fn read(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true))
}

/// Opens `path` for positional reads and writes.
pub(crate) fn read_write(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true))
}

/// [`read_write`]; creates the file if it is missing, readable by its owner only.
pub(crate) fn read_write_or_create(path: &Path) -> io::Result<File> {
    loop {
        match read_write(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match create::file(path, OFlags::RDWR) {
            // By another process, just now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
    }
}

/// Opens `path` for reading and appending.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().append(true).read(true))
}

/// Creates `path`, which must not exist, not even as a link, readable by its owner only.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    create::file(path, OFlags::WRONLY)
}

/// Creates `path`, which must not exist, for reading and appending, readable by its owner only.
pub(crate) fn append_new(path: &Path) -> io::Result<File> {
    create::file(path, OFlags::RDWR | OFlags::APPEND)
}

/// The folder `path` itself, for calls that take names inside it: not what a link leads to.
pub(crate) fn folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        // Linux reports a link as `NOTDIR`, other systems as `LOOP`.
        Err(Errno::NOTDIR | Errno::LOOP) if path.is_symlink() => {
            Err(NotRegularFile::SymbolicLink.into())
        }
        opened => Ok(opened?),
    }
}

/// The content of the file at `path`, which has at most `max_bytes`: a sparse file of any length costs nothing
/// to make.
pub(crate) fn read_all(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let message = format!("it has more than {max_bytes} bytes, which no such file has");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}

/// The metadata of the file at `path`.
pub(crate) fn metadata(path: &Path) -> io::Result<Metadata> {
    regular(path.symlink_metadata()?)
}

/// `metadata`, not of the target of a link, if it is that of a regular file.
pub(crate) fn regular(metadata: Metadata) -> io::Result<Metadata> {
    NotRegularFile::check(metadata.file_type()).map(|()| metadata)
}

/// Whether there is anything at `path`, including a link that leads nowhere.
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens without following a link and without waiting for the other end of a FIFO.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let opened = options.custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            // A link is ELOOP, a socket ENXIO, a folder that is opened for writing EISDIR.
            if let Ok(found) = path.symlink_metadata() {
                regular(found)?;
            }
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error);
            }
            // A lease on the file, of a file server, is being revoked. Only a blocking open waits for that.
            options.custom_flags(flags(OFlags::NOFOLLOW)).open(path)?
        }
    };
    NotRegularFile::check(file.metadata()?.file_type())?;
    Ok(file)
}

/// The flags as the standard library takes them.
fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType as Type, Mode, makedev, mknodat};

    use super::*;

    /// Every way to open a file.
    fn openers() -> Vec<fn(&Path) -> io::Result<()>> {
        vec![
            |path| read(path).map(drop),
            |path| read_write(path).map(drop),
            |path| read_write_or_create(path).map(drop),
            |path| append(path).map(drop),
            |path| read_all(path, 9).map(drop),
            |path| metadata(path).map(drop),
        ]
    }

    fn found(error: &io::Error) -> Option<NotRegularFile> {
        error.get_ref()?.downcast_ref().copied()
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let make = |name: &str, kind| {
            mknodat(CWD, path(name), kind, Mode::RUSR | Mode::WUSR, makedev(1, 3))
        };
        std::fs::write(path("file"), "text").unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        symlink(path("file"), path("link")).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();
        make("fifo", Type::Fifo).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        let mut expected = vec![
            ("folder", NotRegularFile::Folder),
            ("link", NotRegularFile::SymbolicLink),
            ("dangling", NotRegularFile::SymbolicLink),
            ("fifo", NotRegularFile::Fifo),
            ("socket", NotRegularFile::Socket),
        ];
        // Takes root.
        if make("device", Type::CharacterDevice).is_ok() {
            expected.push(("device", NotRegularFile::Device));
        }
        for open in openers() {
            open(&path("file")).unwrap();
            for (name, kind) in &expected {
                let error = open(&path(name)).unwrap_err();
                assert_eq!(found(&error), Some(*kind), "{name}: {error}");
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            }
        }
        for (name, _) in expected {
            assert!(exists(&path(name)).unwrap(), "{name}");
            assert_eq!(create_new(&path(name)).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert!(!path("nowhere").exists(), "nothing was created through the link");
        assert!(!exists(&path("nowhere")).unwrap());
    }
}
