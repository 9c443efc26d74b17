//! Files that are not regular: symbolic links, FIFOs and others with the name of a segment or of a file in
//! `.attestry`. They are reported with their path, never followed, never waited for and never skipped.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::common::{self, all, entries, entry, folder, line_of, open, open_read_only};
use attestry_core::{StorageBackend, StorageError};
use attestry_file::{FileStorage, NotRegularFile};
use rustix::fs::{CWD, FileType, Mode, mknodat};

type Make = fn(&Path, &Path);

/// What can be in the place of a file, and how it is put there; a link leads to the second path.
const KINDS: [(NotRegularFile, Make); 4] = [
    (NotRegularFile::SymbolicLink, |path, target| symlink(target, path).unwrap()),
    (NotRegularFile::Folder, |path, _| fs::create_dir(path).unwrap()),
    (NotRegularFile::Fifo, |path, _| {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }),
    (NotRegularFile::Socket, |path, _| drop(UnixListener::bind(path).unwrap())),
];

fn remove(path: &Path) {
    if fs::symlink_metadata(path).unwrap().is_dir() {
        fs::remove_dir(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

#[track_caller]
fn assert_names<T>(result: Result<T, StorageError>, path: &Path, kind: NotRegularFile) {
    let Err(error) = result else { panic!("{kind:?} at {} is not reported", path.display()) };
    let StorageError::Io { path: named, source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(named, path, "{error}");
    assert_eq!(source.get_ref().and_then(|inner| inner.downcast_ref()), Some(&kind), "{error}");
}

/// A store with three entries, and a file outside with the lines of two others.
async fn store() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let (guard, path) = folder();
    let storage = open(&path).await;
    storage.write_batch(&entries(0..3)).await.unwrap();
    storage.close().await.unwrap();
    let outside = path.with_file_name("outside");
    let mut lines = entries(10..12).iter().flat_map(line_of).collect::<Vec<_>>();
    lines.extend_from_slice(b"no line break");
    fs::write(&outside, lines).unwrap();
    (guard, path, outside)
}

#[tokio::test]
async fn special_file_with_a_segment_name_is_an_error() {
    let (_guard, path, outside) = store().await;
    let before = fs::read(&outside).unwrap();
    let segment = path.join("audit_20200101.jsonl");
    for (kind, make) in KINDS {
        // To stores that are open, and to those that are opened.
        let (writer, reader) = (open(&path).await, open_read_only(&path).await);
        assert_eq!(reader.count().await.unwrap(), 3);
        make(&segment, &outside);
        for storage in [&writer, &reader] {
            assert_names(all(storage).await, &segment, kind);
            assert_names(storage.count().await, &segment, kind);
            assert_names(storage.read(&entry("e00001", 0).id).await, &segment, kind);
        }
        assert_names(writer.delete(&entry("e00001", 0).id).await, &segment, kind);
        assert_names(writer.compact().await, &segment, kind);
        assert_names(writer.delete_at_or_before(entry("any", 5).timestamp).await, &segment, kind);
        drop(writer);
        let builder = || FileStorage::builder(&path);
        assert_names(builder().open().await, &segment, kind);
        assert_names(builder().read_only(true).open().await, &segment, kind);
        remove(&segment);
        assert_eq!(all(&open(&path).await).await.unwrap(), entries(0..3));
    }
    assert_eq!(fs::read(&outside).unwrap(), before);
}

#[tokio::test]
async fn dangling_link_is_an_error_and_creates_nothing() {
    let (_guard, path, outside) = store().await;
    let nowhere = outside.with_file_name("nowhere");
    // The active segment of today, too.
    let active = common::only_segment(&path);
    fs::rename(&active, path.join("audit_20200102.jsonl")).unwrap();
    for segment in [path.join("audit_20200101.jsonl"), active] {
        symlink(&nowhere, &segment).unwrap();
        let kind = NotRegularFile::SymbolicLink;
        assert_names(FileStorage::builder(&path).open().await, &segment, kind);
        let read_only = FileStorage::builder(&path).read_only(true);
        assert_names(read_only.open().await, &segment, kind);
        remove(&segment);
    }
    assert!(!nowhere.exists());
}

/// The writer has the segment open when it is moved away and a link to it takes its place.
#[tokio::test]
async fn writer_does_not_append_through_a_link() {
    let (_guard, path, outside) = store().await;
    let segment = common::only_segment(&path);
    let storage = open(&path).await;
    storage.write(&entry("before", 100)).await.unwrap();
    fs::rename(&segment, &outside).unwrap();
    let moved = fs::read(&outside).unwrap();
    symlink(&outside, &segment).unwrap();
    let written = storage.write(&entry("after", 101)).await;
    assert_names(written, &segment, NotRegularFile::SymbolicLink);
    let appended = storage.append(&[entry("after", 101)]).await;
    assert_names(appended, &segment, NotRegularFile::SymbolicLink);
    assert!(fs::read(&outside).unwrap() == moved);
    remove(&segment);
    fs::rename(&outside, &segment).unwrap();
    storage.write(&entry("after", 101)).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 5);
}

#[tokio::test]
async fn special_file_inside_the_private_folder_is_an_error() {
    for name in ["lock", "generation", "erasures.journal"] {
        for (kind, make) in KINDS {
            let (_guard, path, outside) = store().await;
            let before = fs::read(&outside).unwrap();
            let file = path.join(".attestry").join(name);
            remove(&file);
            make(&file, &outside);
            assert_names(FileStorage::builder(&path).open().await, &file, kind);
            assert!(fs::read(&outside).unwrap() == before, "{name} is not written through");
        }
    }
}

/// An index file can be lost, so that anything else in its place is replaced, or left alone.
#[tokio::test]
async fn special_file_in_place_of_an_index_file_is_not_used() {
    for (kind, make) in KINDS {
        let (_guard, path, outside) = store().await;
        let before = fs::read(&outside).unwrap();
        let active = common::only_segment(&path);
        let sealed = path.join("audit_20200102.jsonl");
        fs::rename(&active, &sealed).unwrap();
        fs::write(active, line_of(&entry("active", 200))).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&sealed).unwrap());
        let indexes = path.join(".attestry/index");
        fs::create_dir_all(&indexes).unwrap();
        let index = indexes.join(format!("{inode}.idx"));
        make(&index, &outside);
        assert_eq!(open_read_only(&path).await.count().await.unwrap(), 4, "{kind:?}");
        let storage = open(&path).await;
        assert_eq!(storage.count().await.unwrap(), 4, "{kind:?}");
        assert_eq!(index.symlink_metadata().unwrap().is_file(), kind != NotRegularFile::Folder);
        storage.close().await.unwrap();
        assert!(fs::read(&outside).unwrap() == before);
    }
}

/// Maintenance by root would otherwise remove or create files wherever the account that records links to.
#[tokio::test]
async fn linked_folder_inside_the_store_is_an_error() {
    let inside = ["checkpoints", "timestamps", "anchors", "access", "quarantine"];
    for name in ["", "index", "tree"].into_iter().chain(inside) {
        let (_guard, path, outside) = store().await;
        let victim = outside.with_file_name("victim");
        fs::create_dir(&victim).unwrap();
        for name in ["17.idx", "17.1.tmp", "precious"] {
            fs::write(victim.join(name), "kept").unwrap();
        }
        // Without the trailing slash of an empty name, which would follow the link.
        let folder: PathBuf = path.join(".attestry").join(name).components().collect();
        match fs::rename(&folder, folder.with_file_name("moved")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            moved => moved.unwrap(),
        }
        symlink(&victim, &folder).unwrap();
        let kind = NotRegularFile::SymbolicLink;
        assert_names(FileStorage::builder(&path).open().await, &folder, kind);
        assert_names(FileStorage::builder(&path).read_only(true).open().await, &folder, kind);
        let kept = fs::read_dir(&victim).unwrap().count();
        assert_eq!(kept, 3, "{name}");
    }
}

#[tokio::test]
async fn recovery_removes_no_foreign_file() {
    let (_guard, path, _) = store().await;
    let index = path.join(".attestry/index");
    let stale = ["17.idx", "17.1.tmp"];
    fs::create_dir_all(&index).unwrap();
    let kept = ["notes.txt", "x.idx", "17.1.sealed.tmp", "17.idx.bak"];
    for name in stale.iter().chain(&kept) {
        fs::write(index.join(name), "text").unwrap();
    }
    let storage = open(&path).await;
    assert_eq!(storage.recovery().files_removed, stale.len());
    for name in stale {
        assert!(!index.join(name).exists(), "{name}");
    }
    for name in kept {
        assert!(index.join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn store_folder_may_be_a_link() {
    let (_guard, path, _) = store().await;
    let link = path.with_file_name("link");
    symlink(&path, &link).unwrap();
    let storage = open(&link).await;
    storage.write(&entry("more", 100)).await.unwrap();
    assert!(storage.delete(&entry("e00001", 0).id).await.unwrap());
    assert_eq!(storage.count().await.unwrap(), 3);
    storage.close().await.unwrap();
    assert_eq!(open_read_only(&path).await.count().await.unwrap(), 3);
}

#[cfg(feature = "evidence")]
#[tokio::test]
async fn special_file_in_the_tree_is_an_error() {
    use common::evidence::adopting;
    for name in ["head", "places", "erasures", "tiles.0"] {
        for (kind, make) in KINDS {
            let (_guard, path, outside) = store().await;
            let storage = adopting(FileStorage::builder(&path)).open().await.unwrap();
            storage.checkpoint().await.unwrap();
            storage.close().await.unwrap();
            let before = fs::read(&outside).unwrap();
            let file = path.join(".attestry/tree").join(name);
            remove(&file);
            make(&file, &outside);
            let opened = FileStorage::builder(&path).open().await;
            let error = opened.unwrap_err();
            let chain = attestry_core::ErrorChain(&error).to_string();
            assert!(chain.contains("are regular files and folders"), "{name} {kind:?}: {chain}");
            assert!(fs::read(&outside).unwrap() == before, "{name}");
            // Not even a dangling link counts as a store without a tree.
            if kind == NotRegularFile::SymbolicLink {
                fs::remove_file(&outside).unwrap();
                assert!(FileStorage::builder(&path).open().await.is_err(), "{name}");
                assert!(!outside.exists());
            }
        }
    }
}
