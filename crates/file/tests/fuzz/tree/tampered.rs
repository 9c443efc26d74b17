//! A small store that keeps evidence, of which any bytes are changed: it is never called intact
//! while a line of it is gone or another.

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

/// More than that need not be changed at once.
const EDITS: usize = 16;

/// The store as it was made.
struct Store {
    /// What its files hold, by where they lie in the folder.
    files: Vec<(PathBuf, Vec<u8>)>,
    lines: Vec<Vec<u8>>,
    /// The line that was erased.
    erased: Vec<u8>,
    /// What somebody else has kept.
    kept: OpenedCheckpoint,
}

static STORE: OnceLock<Store> = OnceLock::new();

/// Changes the store by `edits`, five bytes for each, and holds what is then said of it against
/// what it was: as it lies there, and once it was opened for writing.
pub fn tampered(parent: &Path, edits: &[u8]) {
    let store = STORE.get_or_init(|| make(&parent.join("honest")));
    let mut files = store.files.clone();
    for edit in edits.as_chunks().0.iter().take(EDITS) {
        apply(&mut files, *edit);
    }
    let path = parent.join("audit");
    let _ = fs::remove_dir_all(&path);
    files.iter().for_each(|(name, content)| write(&path.join(name), content));
    let folder = Folder::new(path);

    says_what_is_so(&folder, store);
    proves_what_is_so(&folder, store);
    // Whatever comes of that: it makes nothing good.
    let _ = open_and_sign(&folder);
    says_what_is_so(&folder, store);
}

fn says_what_is_so(folder: &Folder, store: &Store) {
    let options = VerifyOptions::new().policy(policy()).against(&store.kept);
    let Ok(found) = verify::run(folder, &options) else { return };
    if found.is_clean() {
        let there = lines(folder);
        for line in &store.lines {
            assert!(there.contains(line), "intact, without {}", String::from_utf8_lossy(line));
        }
        assert!(found.leaves >= store.kept.checkpoint().size());
    }
}

fn proves_what_is_so(folder: &Folder, store: &Store) {
    let catalog = Catalog::new(folder.clone(), None, Listener::default());
    let ids: Vec<EntryId> = (0..ENTRIES).map(id).collect();
    let Ok(proven) = prove::entries(&catalog, &ids) else { return };
    for proven in proven.into_iter().flatten().flatten() {
        // The checkpoint is for whoever verifies to open.
        if policy().open(proven.proof.checkpoint()).is_ok() {
            let verified = proven.proof.verify(leaf_hash(&proven.line), &policy());
            verified.expect("a proof that is handed out holds");
            // Made up anew byte for byte, the erased one too is a line that was logged.
            let was_logged = store.lines.contains(&proven.line) || proven.line == store.erased;
            assert!(was_logged, "never logged: {}", String::from_utf8_lossy(&proven.line));
        }
    }
}

fn open_and_sign(folder: &Folder) -> Result<(), StorageError> {
    let mut observer = TreeObserver::open(folder, Some(EvidenceOptions::new(key())), true)?;
    recovery::recover(folder, &mut observer)?;
    let _ = observer.checkpoint();
    observer.close()
}

/// One change: of which file, where (two bytes), what, and with what.
fn apply(files: &mut [(PathBuf, Vec<u8>)], [file, low, high, what, with]: [u8; 5]) {
    let number = usize::from(file) % files.len();
    let (name, content) = &mut files[number];
    let at = usize::from(u16::from_le_bytes([low, high])) % (content.len() + 1);
    let end = content.len().min(at + usize::from(with));
    match what % 8 {
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
        content.chunks_mut(512).for_each(sum);
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

/// Puts the right checksum where that of a head stands.
fn sum(slot: &mut [u8]) {
    let Some(end) = slot.iter().position(|byte| *byte == b'\n').filter(|end| *end > 9) else {
        return;
    };
    let sum = format!("{:08x}", crc32fast::hash(&slot[..end - 9]));
    slot[end - 8..end].copy_from_slice(sum.as_bytes());
}

fn key() -> SigningKey {
    SigningKey::from_seed("example.com/audit", &[7; 32]).expect("the name is a good one")
}

fn policy() -> Policy {
    Policy::new(key().public())
}

fn id(number: usize) -> EntryId {
    EntryId::new_unchecked(&format!("e{number:05}"))
}

fn entry(number: usize) -> AuditEntry {
    let (input, output) = (hash_content("in"), hash_content("out"));
    AuditEntry::new(id(number), Timestamp::UNIX_EPOCH, input, output)
}

/// A store of several segments, of which one line was erased, then signed.
fn make(path: &Path) -> Store {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let note = runtime.block_on(async {
        let evidence = EvidenceOptions::new(key()).every(Duration::MAX).every_entries(u64::MAX);
        let builder = FileStorage::builder(path).rotation_size_bytes(900).evidence(evidence);
        let storage = builder.open().await.expect("a new store opens");
        for number in 0..ENTRIES {
            storage.append(&[entry(number)]).await.expect("it takes an entry");
        }
        storage.delete(&id(ERASED)).await.expect("it erases an entry");
        let note = storage.checkpoint().await.expect("it signs");
        storage.close().await.expect("it closes");
        note
    });
    let kept = policy().open(&note).expect("it was just signed");
    let mut files = Vec::new();
    gather(path, Path::new(""), &mut files);
    files.sort();
    let mut erased = line::encode(&entry(ERASED)).expect("it was stored");
    erased.pop(); // the line break
    Store { files, lines: lines(&Folder::new(path.to_path_buf())), erased, kept }
}

/// All files but those that only make reading fast.
fn gather(root: &Path, within: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for item in fs::read_dir(root.join(within)).expect("a folder can be read") {
        let item = item.expect("a folder can be read");
        let name = within.join(item.file_name());
        match item.path().is_dir() {
            true if name.ends_with("index") => {}
            true => gather(root, &name, files),
            false => files.push((name, read(&item.path()))),
        }
    }
}
