//! A whole store with evidence in which files are sparse, absurdly long, or no regular files, and numbers are
//! absurd: every operation ends, with an error or a result, in bounded memory and time.
//!
//! The fuzzer bounds both; the test of the corpus would take hours, or abort for lack of memory.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::tampered::{
    Store, create, fix_checksum, open_and_sign, policy, proofs_are_sound, verification_is_sound,
};
use super::write;
use crate::fs::layout::Folder;
use crate::reader::{Catalog, Listener, scan};
use crate::tree::{anchor_records, erasures, rebuild, tile_export, timestamps};
use crate::{quarantine, recovery};
use attestry_core::Timestamp;

const MAX_EDITS: usize = 4;
/// Files that a store need not have.
const OTHERS: [&str; 9] = [
    ".attestry/erasures.journal",
    ".attestry/generation",
    ".attestry/checkpoints/20260128",
    ".attestry/checkpoints/20990128.cosigned",
    ".attestry/timestamps/1.a.tsr",
    ".attestry/timestamps/1.checkpoint",
    ".attestry/anchors/a.json",
    ".attestry/quarantine/audit_20260128.jsonl.7.0.torn",
    "audit_20260129.jsonl",
];

static STORE: OnceLock<Store> = OnceLock::new();

/// Applies `edits`, four bytes each, then uses the store in every way.
pub fn hostile(parent: &Path, edits: &[u8]) {
    let store = STORE.get_or_init(|| create(&parent.join("hostile-original")));
    let path = parent.join("audit");
    let _ = fs::remove_dir_all(&path);
    store.files.iter().for_each(|(name, content)| write(&path.join(name), content));
    for edit in edits.as_chunks().0.iter().take(MAX_EDITS) {
        apply(store, &path, *edit);
    }
    let folder = Folder::new(path);
    let exported = parent.join("exported");
    let _ = fs::remove_dir_all(&exported);
    read_everything(&folder);
    verification_is_sound(&folder, store);
    proofs_are_sound(&folder, store);
    let _ = open_and_sign(&folder);
    read_everything(&folder);
    let _ = tile_export::export(&folder, &exported);
    let _ = rebuild::rebuild(&folder);
    verification_is_sound(&folder, store);
}

/// Reads each file of the store, whatever it is.
fn read_everything(folder: &Folder) {
    let catalog = Catalog::new(folder.clone(), None, Listener::default());
    let _ = folder.check_folders();
    let _ = recovery::pending_erasures(folder);
    let _ = scan::list(&catalog, Timestamp::MIN, Timestamp::MAX);
    if let Ok(snapshot) = catalog.snapshot() {
        let _ = catalog.count(&snapshot);
        let _ = catalog.visit_corrupt(&snapshot, |_| Ok(true));
    }
    let _ = quarantine::list(folder);
    let _ = erasures::newest(folder, Some(&policy()), usize::MAX);
    let _ = anchor_records::read_all(folder);
    for path in timestamps::list(folder).into_iter().flatten() {
        let _ = timestamps::read(path);
    }
}

/// One edit: file, operation, two operands.
fn apply(store: &Store, path: &Path, [file, operation, one, other]: [u8; 4]) {
    let names = store.files.iter().map(|(name, _)| name.as_path());
    let names: Vec<_> = names.chain(OTHERS.iter().map(Path::new)).collect();
    let name = names[usize::from(file) % names.len()];
    let path = path.join(name);
    let _ = path.parent().map(fs::create_dir_all);
    // Up to four tebibytes.
    let length = 1_u64 << (one % 43);
    match operation % 6 {
        0 => drop(writable(&path).map(|file| file.set_len(length))),
        1 => drop(writable(&path).map(|file| file.write_all_at(&[other, b'\n'], length))),
        2 => {
            let _ = fs::remove_file(&path);
            match one % 4 {
                0 => drop(symlink("/dev/zero", &path)),
                1 => drop(symlink(path.with_extension("nowhere"), &path)),
                2 => drop(fs::create_dir_all(&path)),
                _ => drop(mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)),
            }
        }
        3 => absurd_head(&path.with_file_name("head"), one, u64::MAX >> (other % 64)),
        // Repeats what is there, up to some megabytes.
        4 => {
            if let Some(content) = content_of(&path) {
                write(&path, &content.repeat(1 + usize::from(one)));
            }
        }
        _ => repeat_last_line(&path, one),
    }
}

fn writable(path: &Path) -> std::io::Result<File> {
    // Not through the links that an edit before has made.
    let is_file = path.symlink_metadata().map_or(true, |found| found.is_file());
    if !is_file {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Replaces a number of the tree head in all slots.
fn absurd_head(path: &Path, which: u8, number: u64) {
    let Some(head) = content_of(path) else { return };
    let slots = head.chunks(512).map(|slot| {
        let text = String::from_utf8_lossy(slot);
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        if let Some(word) = words.get_mut([1, 2, 3, 4, 6][usize::from(which) % 5]) {
            *word = number.to_string();
        }
        let mut slot = words.join(" ").into_bytes();
        slot.resize(512, b' ');
        fix_checksum(&mut slot);
        slot
    });
    write(path, &slots.collect::<Vec<_>>().concat());
}

/// The content of a regular file that is not long.
fn content_of(path: &Path) -> Option<Vec<u8>> {
    let is_short = |found: fs::Metadata| found.is_file() && found.len() < 1 << 16;
    path.symlink_metadata().is_ok_and(is_short).then(|| fs::read(path).ok()).flatten()
}

fn repeat_last_line(path: &Path, times: u8) {
    let Some(content) = content_of(path) else { return };
    if let Some(last) = content.split_inclusive(|byte| *byte == b'\n').next_back() {
        let repeated = [&content[..], &last.repeat(usize::from(times))].concat();
        write(path, &repeated);
    }
}
