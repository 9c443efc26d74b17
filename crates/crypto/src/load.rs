//! Keys from files and environment variables, and to a new file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use crate::{Key, KeyError, KeySource};

/// Far more keys than anyone has; a file beyond this is something else.
const MAX_FILE_BYTES: usize = 64 * 1024;

/// One key or more, and where they came from.
pub(crate) struct Loaded {
    pub(crate) origin: KeySource,
    pub(crate) first: Key,
    pub(crate) rest: Vec<Key>,
}

/// The key, if it is the only one.
pub(crate) fn one(loaded: Loaded) -> Result<Key, KeyError> {
    if loaded.rest.is_empty() {
        Ok(loaded.first)
    } else {
        Err(KeyError::SeveralKeys { origin: loaded.origin, count: 1 + loaded.rest.len() })
    }
}

/// The keys of a file, one per line.
pub(crate) fn from_file(path: &Path) -> Result<Loaded, KeyError> {
    let content =
        read(path).map_err(|source| KeyError::Unreadable { path: path.to_path_buf(), source })?;
    parse(&content, b'\n', KeySource::File(path.to_path_buf()))
}

/// The keys of an environment variable, separated by commas.
pub(crate) fn from_env(name: &str) -> Result<Loaded, KeyError> {
    // `var_os` panics on some systems when the name itself cannot be one.
    let name_is_possible = !name.is_empty() && !name.contains(['=', '\0']);
    let value = name_is_possible
        .then(|| std::env::var_os(name))
        .flatten()
        .ok_or_else(|| KeyError::NotSet { name: name.to_owned() })?;
    // Whatever is not Unicode in it is not base64 either.
    let value = Zeroizing::new(value.into_encoded_bytes());
    parse(&value, b',', KeySource::Env(name.to_owned()))
}

fn parse(content: &[u8], separator: u8, origin: KeySource) -> Result<Loaded, KeyError> {
    let mut keys = Vec::new();
    for (index, item) in content.split(|byte| *byte == separator).enumerate() {
        let item = item.trim_ascii();
        if item.is_empty() || item.starts_with(b"#") {
            continue;
        }
        match Key::from_text(item) {
            Ok(key) => keys.push(key),
            Err(source) => return Err(KeyError::Invalid { origin, position: index + 1, source }),
        }
    }
    let mut keys = keys.into_iter();
    match keys.next() {
        Some(first) => Ok(Loaded { origin, first, rest: keys.collect() }),
        None => Err(KeyError::NoKey { origin }),
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Of its final size from the start, so that it never moves and leaves a copy behind.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES + 1));
    File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut content)?;
    if content.len() > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a key file has at most {MAX_FILE_BYTES} bytes"),
        ));
    }
    Ok(content)
}

pub(crate) fn write_new_file(path: &Path, text: &str) -> Result<(), KeyError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);

    let failed = |source: io::Error| KeyError::Unwritable { path: path.to_path_buf(), source };
    let file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::AlreadyExists { path: path.to_path_buf() },
        _ => failed(error),
    })?;
    write_durably(file, path, text).map_err(|error| {
        // It is ours and holds no whole key, or one that a power cut may take away.
        let _ = fs::remove_file(path);
        failed(error)
    })
}

fn write_durably(mut file: File, path: &Path, text: &str) -> io::Result<()> {
    let mut line = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_all()?;
    sync_folder_of(path)
}

/// Makes the name of a new file as durable as its content.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder_of(_path: &Path) -> io::Result<()> {
    Ok(()) // other systems cannot open a folder as a file, and do without
}
