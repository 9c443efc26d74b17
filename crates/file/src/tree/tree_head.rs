//! The tree head on disk: how far the tree has grown, and how much of that is durable.
//!
//! The file `head` has three slots of 512 bytes, one per disk sector, so that a torn write damages one
//! of them only. The first is *published*: written after every batch, never synced, read by other
//! processes. The other two are *persisted* alternately: written and synced after everything they
//! refer to was synced. After a crash the tree continues from the later valid one of these two; what
//! followed is replayed from the segments.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::fs::version::UnknownVersion;
use crate::fs::{open, sys};
use crate::segment::SegmentName;

const SLOT_BYTES: u64 = 512;
const TEXT_BYTES: usize = 256;
const VERSION: &str = "attestry-tree/v2";
/// Has no signed records, and programs of it cannot read them.
const EARLIER: &str = "attestry-tree/v1";

const PUBLISHED: u64 = 0;
const PERSISTED: [u64; 2] = [1, 2];

/// The state of the tree at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TreeHead {
    /// Incremented by each process that opens the store for writing, and each time it is persisted.
    pub(super) sequence: u64,
    /// Number of leaves.
    pub(super) size: u64,
    /// Valid bytes of the segment map.
    pub(super) map_len: u64,
    /// Valid bytes of the erasure records.
    pub(super) records_len: u64,
    /// The segment whose lines were appended last.
    pub(super) current: Option<SegmentName>,
    /// Bytes of it whose lines are in the tree.
    pub(super) covered: u64,
}

impl TreeHead {
    pub(super) fn encode(&self) -> [u8; TEXT_BYTES] {
        let current = self.current.map_or_else(|| "-".to_owned(), |name| name.to_string());
        let Self { sequence, size, map_len, records_len, covered, .. } = self;
        let text =
            format!("{VERSION} {sequence} {size} {map_len} {records_len} {current} {covered}");
        let sum = crc32fast::hash(text.as_bytes());
        let text = format!("{text} {sum:08x}\n");
        let mut slot = [b' '; TEXT_BYTES];
        // Six numbers of 20 digits and a name fit.
        let length = text.len().min(TEXT_BYTES);
        slot[..length].copy_from_slice(&text.as_bytes()[..length]);
        slot
    }

    pub(super) fn decode(slot: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(slot).ok()?.split_once('\n')?.0;
        let (text, sum) = line.rsplit_once(' ')?;
        if format!("{:08x}", crc32fast::hash(text.as_bytes())) != sum {
            return None;
        }
        let mut words = text.split(' ');
        if ![VERSION, EARLIER].contains(&words.next()?) {
            return None;
        }
        let mut number = || words.next()?.parse().ok();
        let (sequence, size, map_len, records_len) = (number()?, number()?, number()?, number()?);
        let current = match words.next()? {
            "-" => None,
            name => Some(SegmentName::parse(name)?),
        };
        let covered = words.next()?.parse().ok()?;
        Some(Self { sequence, size, map_len, records_len, current, covered })
    }
}

/// The first word of a slot, if it is a version of the tree.
fn version_of(slot: &[u8]) -> Option<&str> {
    let word = slot.split(u8::is_ascii_whitespace).next()?;
    str::from_utf8(word).ok().filter(|word| word.starts_with("attestry-tree/"))
}

#[derive(Debug)]
pub(super) struct TreeHeadFile(File);

impl TreeHeadFile {
    /// Creates the head of an empty tree. The caller syncs the folder.
    pub(super) fn create(path: &Path) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let file = Self(open::read_write_or_create(&temporary)?);
        file.0.set_len(3 * SLOT_BYTES)?;
        file.publish(&TreeHead::default())?;
        file.persist(&mut TreeHead::default())?;
        std::fs::rename(temporary, path)
    }

    pub(super) fn open(path: &Path, write: bool) -> io::Result<Self> {
        Ok(Self(if write { open::read_write(path)? } else { open::read(path)? }))
    }

    /// Makes all slots invalid, durably; creates the file if it is missing.
    pub(super) fn invalidate(path: &Path) -> io::Result<()> {
        let file = open::read_write_or_create(path)?;
        file.set_len(0)?;
        file.set_len(3 * SLOT_BYTES)?;
        file.sync_all()
    }

    fn read(&self, slot: u64) -> io::Result<Option<TreeHead>> {
        let mut bytes = [0; TEXT_BYTES];
        match sys::read_exact_at(&self.0, &mut bytes, slot * SLOT_BYTES) {
            Ok(()) => match (TreeHead::decode(&bytes), version_of(&bytes)) {
                (None, Some(version)) if ![VERSION, EARLIER].contains(&version) => {
                    Err(UnknownVersion::error(version, VERSION))
                }
                (head, _) => Ok(head),
            },
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, slot: u64, head: &TreeHead) -> io::Result<()> {
        sys::write_all_at(&self.0, &head.encode(), slot * SLOT_BYTES)
    }

    /// The published head; `None` after a torn write.
    pub(super) fn published(&self) -> io::Result<Option<TreeHead>> {
        self.read(PUBLISHED)
    }

    /// Shows the head to other processes.
    pub(super) fn publish(&self, head: &TreeHead) -> io::Result<()> {
        self.write(PUBLISHED, head)
    }

    /// The later persisted head and its slot; `None` if both slots are damaged.
    fn latest_persisted(&self) -> io::Result<Option<(u64, TreeHead)>> {
        let [one, other] = PERSISTED.map(|slot| self.read(slot).map(|head| Some((slot, head?))));
        let heads = one?.into_iter().chain(other?);
        Ok(heads.max_by_key(|(_, head)| head.sequence))
    }

    /// The later persisted head; `None` if both slots are damaged.
    pub(super) fn persisted(&self) -> io::Result<Option<TreeHead>> {
        Ok(self.latest_persisted()?.map(|(_, head)| head))
    }

    /// Syncs the file: the process that persisted the latest head may have died before its sync.
    pub(super) fn sync(&self) -> io::Result<()> {
        sys::sync_data(&self.0)
    }

    /// Writes the head over the older persisted one, with a higher sequence number, and syncs it. The
    /// caller has synced everything it refers to. If the sync fails, the older one is put back: a retry of
    /// the sync would succeed without writing.
    pub(super) fn persist(&self, head: &mut TreeHead) -> io::Result<()> {
        let latest = self.latest_persisted()?;
        let sequence = latest.as_ref().map_or(0, |(_, latest)| latest.sequence);
        head.sequence = head.sequence.max(sequence).saturating_add(1);
        let [first, second] = PERSISTED;
        let slot = if latest.is_some_and(|(slot, _)| slot == first) { second } else { first };
        let mut replaced = [0; TEXT_BYTES];
        sys::read_exact_at(&self.0, &mut replaced, slot * SLOT_BYTES)?;
        self.write(slot, head)?;
        // Programs that copy what has changed look at size and time, to the second: the size changes, too.
        self.0.set_len(3 * SLOT_BYTES + head.sequence % SLOT_BYTES)?;
        sys::sync_data(&self.0).inspect_err(|_| {
            let _ = sys::write_all_at(&self.0, &replaced, slot * SLOT_BYTES);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_makes_a_slot_invalid() {
        let head = TreeHead {
            sequence: u64::MAX - 1,
            size: u64::MAX,
            map_len: u64::MAX,
            records_len: u64::MAX,
            current: SegmentName::parse("audit_20260128_123456789012345678.jsonl"),
            covered: u64::MAX,
        };
        let slot = head.encode();
        assert_eq!(TreeHead::decode(&slot), Some(head));
        let text_len = slot.iter().position(|&byte| byte == b'\n').unwrap();
        for at in 0..=text_len {
            let mut changed = slot;
            changed[at] ^= 1;
            assert_eq!(TreeHead::decode(&changed), None, "byte {at}");
        }
    }

    #[test]
    fn unknown_version_is_not_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        TreeHeadFile::create(&path).unwrap();
        let file = TreeHeadFile::open(&path, true).unwrap();
        sys::write_all_at(&file.0, b"attestry-tree/v3 1 2 3\n", SLOT_BYTES).unwrap();
        let error = file.persisted().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("version attestry-tree/v3"), "{error}");
        // A damaged slot of the known version is not used.
        sys::write_all_at(&file.0, b"attestry-tree/v2 1 2 3\n", SLOT_BYTES).unwrap();
        assert_eq!(file.persisted().unwrap(), None);
    }

    #[test]
    fn latest_intact_persisted_head_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        TreeHeadFile::create(&path).unwrap();
        let file = TreeHeadFile::open(&path, true).unwrap();
        let empty = TreeHead { sequence: 1, ..TreeHead::default() };
        assert_eq!(file.persisted().unwrap(), Some(empty));
        for size in 1..4 {
            let mut head = TreeHead { size, ..TreeHead::default() };
            file.persist(&mut head).unwrap();
            assert_eq!(head.sequence, size + 1);
            assert_eq!(file.persisted().unwrap(), Some(head));
        }
        let (latest, _) = file.latest_persisted().unwrap().unwrap();
        sys::write_all_at(&file.0, b"torn", latest * SLOT_BYTES).unwrap();
        assert_eq!(file.persisted().unwrap().unwrap().sequence, 3);
        // The next one replaces the torn one.
        file.persist(&mut TreeHead { sequence: 9, ..TreeHead::default() }).unwrap();
        assert_eq!(file.latest_persisted().unwrap().unwrap().0, latest);
        for slot in PERSISTED {
            sys::write_all_at(&file.0, b"torn", slot * SLOT_BYTES).unwrap();
        }
        assert_eq!(file.persisted().unwrap(), None);
    }
}
