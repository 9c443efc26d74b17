//! Lists and copies the files of a store.

use std::fs::{self, File, FileTimes, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use attestry_core::StorageError;

use crate::fs::{create, open, sys};

/// Copies a folder inside `.attestry`, but what does not belong to a copy: the lock, the tiles, which are copied
/// apart, index files, which name inodes, and temporary files.
pub(super) fn copy_others(from: &Path, to: &Path) -> Result<(), StorageError> {
    make_folder(to)?;
    for (name, _) in files(from)? {
        if name != "lock" && !name.ends_with(".tmp") && !is_tiles(&name) {
            // Timestamps and anchor records are written without the lock.
            if let Some(source) = open_if_there(&from.join(&name))? {
                copy_open(source, &to.join(&name), 0, None)?;
            }
        }
    }
    for name in folders(from)? {
        let path = from.join(&name);
        if name != "index" && !is_store(&path) {
            copy_others(&path, &to.join(&name))?;
        }
    }
    sync(to)
}

pub(super) fn is_tiles(name: &str) -> bool {
    name.starts_with("tiles.")
}

pub(super) fn is_store(path: &Path) -> bool {
    path.join(create::PRIVATE).symlink_metadata().is_ok_and(|found| found.is_dir())
}

/// The files in a folder that are no folders; none if it is missing. Anything but a regular file is an error, and a
/// sparse one, whose copy could fill the disk.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, Metadata)>, StorageError> {
    let mut found = Vec::new();
    for (path, metadata) in items(folder)?.into_iter().filter(|(_, metadata)| !metadata.is_dir()) {
        let metadata = open::regular(metadata)
            .and_then(|metadata| sys::without_large_hole(&path, metadata))
            .map_err(|source| StorageError::io("examine", &path, source))?;
        found.extend(name_of(&path).map(|name| (name, metadata)));
    }
    Ok(found)
}

pub(super) fn folders(folder: &Path) -> Result<Vec<String>, StorageError> {
    let folders = items(folder)?.into_iter().filter(|(_, metadata)| metadata.is_dir());
    Ok(folders.filter_map(|(path, _)| name_of(&path)).collect())
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

fn items(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, StorageError> {
    let failed = |source| StorageError::io("list", folder, source);
    let items = match fs::read_dir(folder) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for item in items {
        let item = item.map_err(failed)?;
        match item.metadata() {
            Ok(metadata) => found.push((item.path(), metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StorageError::io("examine", item.path(), source)),
        }
    }
    Ok(found)
}

pub(super) fn open_if_there(path: &Path) -> Result<Option<File>, StorageError> {
    match open::read(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::io("open", path, error)),
    }
}

pub(super) fn copy_file(
    from: &Path,
    to: &Path,
    start: u64,
    end: Option<u64>,
) -> Result<(), StorageError> {
    let source = open::read(from).map_err(|error| StorageError::io("open", from, error))?;
    copy_open(source, to, start, end)
}

/// Copies `source`, from byte `start` on, which `to` has up to there; at most up to `end`. Owner, mode and time of
/// the last change are copied, too. The copy is on stable storage, not its name.
pub(super) fn copy_open(
    mut source: File,
    to: &Path,
    start: u64,
    end: Option<u64>,
) -> Result<(), StorageError> {
    let mut copy = || -> io::Result<()> {
        let metadata = source.metadata()?;
        let end = end.unwrap_or(metadata.len());
        let mut copy = open::read_write_or_create(to)?;
        copy.set_len(start)?;
        source.seek(SeekFrom::Start(start))?;
        copy.seek(SeekFrom::Start(start))?;
        io::copy(&mut (&mut source).take(end.saturating_sub(start)), &mut copy)?;
        create::like(&metadata, metadata.mode() & 0o777, &copy)?;
        copy.set_times(FileTimes::new().set_modified(metadata.modified()?))?;
        copy.sync_all()
    };
    copy().map_err(|error| StorageError::io("copy", to, error))
}

pub(super) fn remove(path: &Path) -> Result<(), StorageError> {
    fs::remove_file(path).map_err(|source| StorageError::io("remove", path, source))
}

pub(super) fn make_folder(path: &Path) -> Result<(), StorageError> {
    sys::create_folder(path).map_err(|source| StorageError::io("create the folder", path, source))
}

pub(super) fn sync(path: &Path) -> Result<(), StorageError> {
    sys::sync_folder(path).map_err(|source| StorageError::io("sync", path, source))
}
