//! Secret keys in files and environment variables, for the crates of Attestry that have keys: one
//! implementation of bounded reads, wiped buffers and new files of mode 0600.
//!
//! This crate is an implementation detail. Use `attestry_crypto::Key` and
//! `attestry_evidence::SigningKey`, which return its [`KeyError`].

mod error;

use std::convert::Infallible;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

pub use error::{KeyError, KeySource};

const MAX_FILE_BYTES: usize = 64 * 1024;

/// One key or more, and where they were read from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Keys<K> {
    /// The file or variable.
    pub origin: KeySource,
    /// The first key.
    pub first: K,
    /// All others, in order.
    pub rest: Vec<K>,
}

impl<K> Keys<K> {
    /// The key, if it is the only one.
    ///
    /// # Errors
    ///
    /// [`KeyError::SeveralKeys`].
    pub fn single<E: Error + 'static>(self) -> Result<K, KeyError<E>> {
        if self.rest.is_empty() {
            Ok(self.first)
        } else {
            Err(KeyError::SeveralKeys { origin: self.origin, count: 1 + self.rest.len() })
        }
    }
}

/// Reads a key file: one key per line. Blank lines, lines that start with `#` and white space around a
/// key are ignored.
///
/// # Errors
///
/// [`KeyError::Unreadable`], also for files over 64 KiB; [`KeyError::Exposed`] if the file is the caller's and
/// others may access it; [`KeyError::Invalid`], [`KeyError::NoKey`].
pub fn read_file<K, E: Error + 'static>(
    path: &Path,
    parse: impl Fn(&[u8]) -> Result<K, E>,
) -> Result<Keys<K>, KeyError<E>> {
    let unreadable = |source| KeyError::Unreadable { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(unreadable)?;
    if let Some(mode) = exposed_mode(&file).map_err(unreadable)? {
        return Err(KeyError::Exposed { path: path.to_path_buf(), mode });
    }
    let content = read(&file).map_err(unreadable)?;
    parse_all(&content, b'\n', KeySource::File(path.to_path_buf()), parse)
}

/// Reads a file that is one key: all its bytes but the line breaks at its end.
///
/// # Errors
///
/// [`KeyError::Unreadable`], also for files over 64 KiB; [`KeyError::Exposed`] if the file is the caller's and
/// others may access it.
pub fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError<Infallible>> {
    let unreadable = |source| KeyError::Unreadable { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(unreadable)?;
    if let Some(mode) = exposed_mode(&file).map_err(unreadable)? {
        return Err(KeyError::Exposed { path: path.to_path_buf(), mode });
    }
    let mut content = read(&file).map_err(unreadable)?;
    let end = content.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
    content.truncate(end.map_or(0, |last| last + 1));
    Ok(content)
}

/// Reads the environment variable `name`: keys separated by `separator`, otherwise as in a file.
///
/// # Errors
///
/// [`KeyError::NotSet`], [`KeyError::Invalid`], [`KeyError::NoKey`].
pub fn read_env<K, E: Error + 'static>(
    name: &str,
    separator: u8,
    parse: impl Fn(&[u8]) -> Result<K, E>,
) -> Result<Keys<K>, KeyError<E>> {
    // `var_os` may panic on names that no variable can have.
    let valid_name = !name.is_empty() && !name.contains(['=', '\0']);
    let value = valid_name
        .then(|| std::env::var_os(name))
        .flatten()
        .ok_or_else(|| KeyError::NotSet { name: name.to_owned() })?;
    // Bytes that are not Unicode fail to parse as a key.
    let value = Zeroizing::new(value.into_encoded_bytes());
    parse_all(&value, separator, KeySource::Env(name.to_owned()), parse)
}

fn parse_all<K, E: Error + 'static>(
    content: &[u8],
    separator: u8,
    origin: KeySource,
    parse: impl Fn(&[u8]) -> Result<K, E>,
) -> Result<Keys<K>, KeyError<E>> {
    let mut keys = Vec::new();
    for (index, item) in content.split(|byte| *byte == separator).enumerate() {
        let item = item.trim_ascii();
        if item.is_empty() || item.starts_with(b"#") {
            continue;
        }
        match parse(item) {
            Ok(key) => keys.push(key),
            Err(source) => return Err(KeyError::Invalid { origin, position: index + 1, source }),
        }
    }
    let mut keys = keys.into_iter();
    match keys.next() {
        Some(first) => Ok(Keys { origin, first, rest: keys.collect() }),
        None => Err(KeyError::NoKey { origin }),
    }
}

/// The mode of a file of this user that others may read or write, by the rule of `ssh`. A file of another
/// user, such as a secret that a container's host mounts, has the mode that its owner gave it; a pipe has none.
#[cfg(unix)]
fn exposed_mode(file: &File) -> io::Result<Option<u32>> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    let is_own = metadata.is_file() && metadata.uid() == rustix::process::getuid().as_raw();
    let mode = metadata.mode() & 0o777;
    Ok((is_own && mode & 0o077 != 0).then_some(mode))
}

#[cfg(not(unix))]
fn exposed_mode(_: &File) -> io::Result<Option<u32>> {
    Ok(None)
}

fn read(file: &File) -> io::Result<Zeroizing<Vec<u8>>> {
    // Allocated once: a buffer that grows leaves copies of the key in freed memory.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES + 1));
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut content)?;
    if content.len() > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a key file has at most {MAX_FILE_BYTES} bytes"),
        ));
    }
    Ok(content)
}

/// Writes the key `text` as one line to a new file that only its owner can read (mode 0600, on systems
/// that have modes). On return the file and its name are on stable storage.
///
/// # Errors
///
/// [`KeyError::AlreadyExists`] if `path` exists, also as a dangling link; [`KeyError::Unwritable`], in
/// which case no file is left behind.
pub fn write_new<E: Error + 'static>(path: &Path, text: &str) -> Result<(), KeyError<E>> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);

    let unwritable = |source: io::Error| KeyError::Unwritable { path: path.to_path_buf(), source };
    let file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::AlreadyExists { path: path.to_path_buf() },
        _ => unwritable(error),
    })?;
    write_durably(file, path, text).map_err(|error| {
        // The file was created above. Its content is incomplete or may not survive a power cut.
        let _ = fs::remove_file(path);
        unwritable(error)
    })
}

fn write_durably(mut file: File, path: &Path, text: &str) -> io::Result<()> {
    let mut line = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_all()?;
    sync_parent(path)
}

/// Syncs the directory entry of a new file.
#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Other systems cannot open a directory as a file and do not need the sync.
#[cfg(not(unix))]
fn sync_parent(_path: &Path) -> io::Result<()> {
    Ok(())
}
