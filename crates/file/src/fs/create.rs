//! Creates the files and folders of a store, for their owner only.
//!
//! Maintenance that runs as root must not take the store from the account that records: what root creates
//! gets owner and group of its folder, and a file that replaces another gets those of that file. Other
//! accounts create files as themselves.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, fstatvfs, mkdirat, openat};
use rustix::io::Errno;

/// The folder inside a store of what the Python package does not know.
pub(crate) const PRIVATE: &str = ".attestry";

/// Creates the file `path`, which must not exist, with mode 0600.
pub(super) fn file(path: &Path, access: OFlags) -> io::Result<File> {
    let (folder, name) = folder_and_name(path)?;
    let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let created = openat(&folder, name, flags, Mode::RUSR | Mode::WUSR);
    let created = created.map_err(|error| no_room(error, &folder))?;
    let created = File::from(created);
    inherit(&created, &folder)?;
    share(&created, &folder, path, 0o040)?;
    Ok(created)
}

/// Creates the folder `path`, which must not exist, with mode 0700.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    let (folder, name) = folder_and_name(path)?;
    mkdirat(&folder, name, Mode::RWXU).map_err(|error| no_room(error, &folder))?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let created = openat(&folder, name, flags, Mode::empty())?;
    let created = File::from(created);
    inherit(&created, &folder)?;
    share(&created, &folder, path, 0o050)
}

/// Gives `file`, just created, owner and group of the file that it replaces, and `mode`, as far as this
/// account may do that.
pub(crate) fn like(replaced: &Metadata, mode: u32, file: &File) -> io::Result<()> {
    give(file, replaced.uid(), replaced.gid())?;
    // Last: a change of the owner clears bits of the mode.
    match fchmod(file, Mode::from_raw_mode(mode)) {
        Err(Errno::PERM) => Ok(()), // another account has created the file
        changed => Ok(changed?),
    }
}

/// `error` of creating a file in `folder`. A full file system may have room and no inodes: then it says that.
fn no_room(error: Errno, folder: &File) -> io::Error {
    let lacks_inodes = || fstatvfs(folder).is_ok_and(|fs| fs.f_files > 0 && fs.f_ffree == 0);
    if error == Errno::NOSPC && lacks_inodes() {
        let message =
            "the file system has no inodes left, whatever room it has; remove files from it";
        return io::Error::new(io::ErrorKind::StorageFull, message);
    }
    error.into()
}

/// The folder that contains `path`.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// The folder is opened once: an account that may change paths must not make root give away a file
/// elsewhere.
fn folder_and_name(path: &Path) -> io::Result<(File, &std::ffi::OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((File::open(parent_of(path))?, name))
}

/// Gives `created` owner and group of its folder, if root has created it.
fn inherit(created: &File, folder: &File) -> io::Result<()> {
    if created.metadata()?.uid() == 0 {
        let folder = folder.metadata()?;
        give(created, folder.uid(), folder.gid())?;
    }
    Ok(())
}

/// Gives the group those of these permissions on `created` that it has on the folder, if that is inside
/// `.attestry`: an operator lets a group read a store by changing the mode of its folders.
fn share(created: &File, folder: &File, path: &Path, permissions: u32) -> io::Result<()> {
    let inside = parent_of(path).components().any(|part| part.as_os_str() == PRIVATE);
    let shared = folder.metadata()?.mode() & permissions;
    if !inside || shared == 0 {
        return Ok(());
    }
    let mode = created.metadata()?.mode();
    Ok(fchmod(created, Mode::from_raw_mode(mode | shared))?)
}

/// Accounts that may not change an owner, also root without the capability, leave it.
fn give(file: &File, owner: u32, group: u32) -> io::Result<()> {
    let found = file.metadata()?;
    if (found.uid(), found.gid()) == (owner, group) {
        return Ok(());
    }
    // An account may give its file to a group that it is in, but not to another account.
    let owners = [Some(Uid::from_raw(owner)), None];
    for owner in owners {
        match fchown(file, owner, Some(Gid::from_raw(group))) {
            // `INVAL`: the account does not exist in this user namespace.
            Err(Errno::PERM | Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => {}
            given => return Ok(given?),
        }
    }
    Ok(())
}
