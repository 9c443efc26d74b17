//! Any bytes of a small store with evidence are changed: verification never calls it clean while a line
//! is missing or differs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use attestry_core::{
    AuditEntry, EntryId, StorageBackend, StorageError, Timestamp, hash_content, line,
};
use attestry_evidence::{OpenedCheckpoint, Policy, SigningKey, leaf_hash};

use super::{lines, read, write};
use crate::fs::layout::Folder;
use crate::observer::LogObserver;
use crate::reader::{Catalog, Listener};
use crate::tree::{EvidenceOptions, TreeObserver, VerifyOptions, prove, verify};
use crate::{FileStorage, recovery};

const ENTRIES: usize = 8;
const ERASED: usize = 4;

const MAX_EDITS: usize = 16;

/// The store before the edits.
pub(super) struct Store {
    /// Relative paths and contents.
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
    lines: Vec<Vec<u8>>,
    /// The line that was erased.
    erased: Vec<u8>,
    /// An external checkpoint.
    checkpoint: OpenedCheckpoint,
}

static STORE: OnceLock<Store> = OnceLock::new();

/// Applies `edits`, five bytes each, then verifies the store and its proofs: as they are, and after the
/// store was opened for writing.
pub fn tampered(parent: &Path, edits: &[u8]) {
    let store = STORE.get_or_init(|| create(&parent.join("original")));
    let mut files = store.files.clone();
    for edit in edits.as_chunks().0.iter().take(MAX_EDITS) {
        apply(&mut files, *edit);
    }
    let path = parent.join("audit");
    let _ = fs::remove_dir_all(&path);
    files.iter().for_each(|(name, content)| write(&path.join(name), content));
    let folder = Folder::new(path);

    verification_is_sound(&folder, store);
    proofs_are_sound(&folder, store);
    // With or without an error, this repairs no tampering.
    let _ = open_and_sign(&folder);
    verification_is_sound(&folder, store);
}

pub(super) fn verification_is_sound(folder: &Folder, store: &Store) {
    let options = VerifyOptions::new().policy(policy()).against(&store.checkpoint);
    let Ok(found) = verify::run(folder, &options) else { return };
    if found.is_clean() {
        let there = lines(folder);
        for line in &store.lines {
            assert!(there.contains(line), "clean without {}", String::from_utf8_lossy(line));
        }
        assert!(found.leaves >= store.checkpoint.checkpoint().size());
    }
}

pub(super) fn proofs_are_sound(folder: &Folder, store: &Store) {
    let catalog = Catalog::new(folder.clone(), None, Listener::default());
    let ids: Vec<EntryId> = (0..ENTRIES).map(id).collect();
    let Ok(proven) = prove::inclusion(&catalog, &ids) else { return };
    for proven in proven.into_iter().flatten().flatten() {
        // The store may contain checkpoints that its key did not sign.
        if policy().open(proven.proof.checkpoint()).is_ok() {
            let verified = proven.proof.verify(leaf_hash(&proven.line), &policy());
            verified.expect("a returned proof is valid");
            // The erased line was logged too, should an edit restore it.
            let was_logged = store.lines.contains(&proven.line) || proven.line == store.erased;
            assert!(was_logged, "never logged: {}", String::from_utf8_lossy(&proven.line));
        }
    }
}

pub(super) fn open_and_sign(folder: &Folder) -> Result<(), StorageError> {
    let mut observer = TreeObserver::open(folder, Some(EvidenceOptions::new(key())), None, true)?;
    recovery::recover(folder, &mut observer)?;
    let _ = observer.checkpoint();
    observer.close()
}

/// One edit: file, offset (two bytes), operation, operand.
fn apply(files: &mut [(PathBuf, Vec<u8>)], [file, low, high, operation, with]: [u8; 5]) {
    let number = usize::from(file) % files.len();
    let (name, content) = &mut files[number];
    let at = usize::from(u16::from_le_bytes([low, high])) % (content.len() + 1);
    let end = content.len().min(at + usize::from(with));
    match operation % 8 {
        0 => drop(content.splice(at..content.len().min(at + 1), [with])),
        1 => content.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (with % 8)),
        2 => drop(content.drain(at..end)),
        3 => content.insert(at, with),
        4 => content.truncate(at),
        5 => content[at..end].fill(b' '),
        6 => content.extend_from_within(at..end),
        _ => swap_lines(content, at, with.into()),
    }
    if name.ends_with("head") {
        content.chunks_mut(512).for_each(fix_checksum);
    }
}

fn swap_lines(content: &mut Vec<u8>, one: usize, other: usize) {
    let mut lines: Vec<_> = content.split_inclusive(|byte| *byte == b'\n').collect();
    if !lines.is_empty() {
        let count = lines.len();
        lines.swap(one % count, other % count);
        *content = lines.concat();
    }
}

/// Corrects the checksum of a tree head slot.
pub(super) fn fix_checksum(slot: &mut [u8]) {
    let Some(end) = slot.iter().position(|byte| *byte == b'\n').filter(|end| *end > 9) else {
        return;
    };
    let sum = format!("{:08x}", crc32fast::hash(&slot[..end - 9]));
    slot[end - 8..end].copy_from_slice(sum.as_bytes());
}

fn key() -> SigningKey {
    SigningKey::from_seed("example.com/audit", &[7; 32]).expect("the name is valid")
}

pub(super) fn policy() -> Policy {
    Policy::new(key().public())
}

fn id(number: usize) -> EntryId {
    EntryId::new_unchecked(&format!("e{number:05}"))
}

fn entry(number: usize) -> AuditEntry {
    let (input, output) = (hash_content("in"), hash_content("out"));
    AuditEntry::new(id(number), Timestamp::UNIX_EPOCH, input, output)
}

/// A store of several segments with one erased line and a checkpoint.
pub(super) fn create(path: &Path) -> Store {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let note = runtime.block_on(async {
        let evidence = EvidenceOptions::new(key()).every(Duration::MAX).every_entries(u64::MAX);
        let builder = FileStorage::builder(path).rotation_size_bytes(900).evidence(evidence);
        let storage = builder.open().await.expect("a new store opens");
        for number in 0..ENTRIES {
            storage.append(&[entry(number)]).await.expect("an entry is appended");
        }
        storage.delete(&id(ERASED)).await.expect("an entry is erased");
        let note = storage.checkpoint().await.expect("a checkpoint is signed");
        storage.close().await.expect("the store closes");
        note
    });
    let checkpoint = policy().open(&note).expect("the checkpoint is valid");
    let mut files = Vec::new();
    collect(path, Path::new(""), &mut files);
    files.sort();
    let mut erased = line::encode(&entry(ERASED)).expect("the entry is valid");
    erased.pop(); // the line break
    Store { files, lines: lines(&Folder::new(path.to_path_buf())), erased, checkpoint }
}

/// All files except the index files.
fn collect(root: &Path, within: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for item in fs::read_dir(root.join(within)).expect("the folder is readable") {
        let item = item.expect("the folder is readable");
        let name = within.join(item.file_name());
        match item.path().is_dir() {
            true if name.ends_with("index") => {}
            true => collect(root, &name, files),
            false => files.push((name, read(&item.path()))),
        }
    }
}
