//! How far the tree has come: what is said of it after every batch, and what is certain.
//!
//! The file `head` has three slots of 512 bytes, so that none shares a sector with another. The
//! first is written after every batch and never synced: it tells processes of each other's doing.
//! The other two are *marks*, written in turn and synced once all that they speak of is. After a
//! crash the tree goes on from the latest mark; what came after it is made again from the segments.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::fs::sys;
use crate::segment::SegmentName;

const SLOT: u64 = 512;
const TEXT: usize = 256;
const VERSION: &str = "attestry-tree/v1";

/// What is known of the tree at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Head {
    /// Raised by whoever opens the store for writing, and with every mark.
    pub(super) sequence: u64,
    /// How many leaves there are.
    pub(super) size: u64,
    /// How long the files `places` and `erasures` are.
    pub(super) places: u64,
    pub(super) erasures: u64,
    /// The segment that was extended last, and up to where its lines are in the tree.
    pub(super) current: Option<SegmentName>,
    pub(super) covered: u64,
}

impl Head {
    pub(super) fn encode(&self) -> [u8; TEXT] {
        let current = self.current.map_or_else(|| "-".to_owned(), |name| name.to_string());
        let Self { sequence, size, places, erasures, covered, .. } = self;
        let text = format!("{VERSION} {sequence} {size} {places} {erasures} {current} {covered}");
        let sum = crc32fast::hash(text.as_bytes());
        let text = format!("{text} {sum:08x}\n");
        let mut slot = [b' '; TEXT];
        // Six numbers of 20 digits and a name have room.
        let length = text.len().min(TEXT);
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
        if words.next()? != VERSION {
            return None;
        }
        let mut number = || words.next()?.parse().ok();
        let (sequence, size, places, erasures) = (number()?, number()?, number()?, number()?);
        let current = match words.next()? {
            "-" => None,
            name => Some(SegmentName::parse(name)?),
        };
        let covered = words.next()?.parse().ok()?;
        Some(Self { sequence, size, places, erasures, current, covered })
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct HeadFile(File);

impl HeadFile {
    /// Begins a tree without leaves. The caller syncs the folder.
    pub(super) fn create(path: &Path) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let file = Self(sys::open_read_write(&temporary)?);
        file.0.set_len(3 * SLOT)?;
        file.put(0, &Head::default())?;
        file.mark(&mut Head::default())?;
        std::fs::rename(temporary, path)
    }

    pub(super) fn open(path: &Path, write: bool) -> io::Result<Self> {
        Ok(Self(if write { sys::open_read_write(path)? } else { File::open(path)? }))
    }

    fn get(&self, slot: u64) -> io::Result<Option<Head>> {
        let mut bytes = [0; TEXT];
        match sys::read_exact_at(&self.0, &mut bytes, slot * SLOT) {
            Ok(()) => Ok(Head::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put(&self, slot: u64, head: &Head) -> io::Result<()> {
        sys::write_all_at(&self.0, &head.encode(), slot * SLOT)
    }

    /// What was said last; `None` when that was cut short.
    pub(super) fn live(&self) -> io::Result<Option<Head>> {
        self.get(0)
    }

    /// Says it to the other processes.
    pub(super) fn tell(&self, head: &Head) -> io::Result<()> {
        self.put(0, head)
    }

    /// The slot of the latest mark and the mark; `None` when both are damaged.
    fn latest_mark(&self) -> io::Result<Option<(u64, Head)>> {
        let mark = |slot| Ok::<_, io::Error>(self.get(slot)?.map(|head| (slot, head)));
        let (one, other) = (mark(1)?, mark(2)?);
        Ok(one.into_iter().chain(other).max_by_key(|(_, head)| head.sequence))
    }

    /// The latest mark; `None` when both are damaged.
    pub(super) fn marked(&self) -> io::Result<Option<Head>> {
        Ok(self.latest_mark()?.map(|(_, head)| head))
    }

    /// Puts the latest mark on stable storage: who made it may have died before it had.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    /// Makes a mark, once all it speaks of is on stable storage, and gives it a number above that
    /// of the one before, which stays as it is.
    pub(super) fn mark(&self, head: &mut Head) -> io::Result<()> {
        let latest = self.latest_mark()?;
        let number = latest.as_ref().map_or(0, |(_, latest)| latest.sequence);
        head.sequence = head.sequence.max(number).saturating_add(1);
        let slot = if latest.is_some_and(|(slot, _)| slot == 1) { 2 } else { 1 };
        self.put(slot, head)?;
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            sequence: u64::MAX - 1,
            size: u64::MAX,
            places: u64::MAX,
            erasures: u64::MAX,
            current: SegmentName::parse("audit_20260128_123456789012345678.jsonl"),
            covered: u64::MAX,
        }
    }

    #[test]
    fn a_changed_slot_is_void() {
        let slot = head().encode();
        assert_eq!(Head::decode(&slot), Some(head()));
        let text = slot.iter().position(|&byte| byte == b'\n').unwrap();
        for at in 0..=text {
            let mut changed = slot;
            changed[at] ^= 1;
            assert_eq!(Head::decode(&changed), None, "byte {at}");
        }
    }

    #[test]
    fn the_later_mark_counts_and_a_torn_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        HeadFile::create(&path).unwrap();
        let file = HeadFile::open(&path, true).unwrap();
        assert_eq!(file.marked().unwrap(), Some(Head { sequence: 1, ..Head::default() }));
        for size in 1..4 {
            let mut head = Head { size, ..Head::default() };
            file.mark(&mut head).unwrap();
            assert_eq!(head.sequence, size + 1);
            assert_eq!(file.marked().unwrap(), Some(head));
        }
        let (latest, _) = file.latest_mark().unwrap().unwrap();
        sys::write_all_at(&file.0, b"torn", latest * SLOT).unwrap();
        assert_eq!(file.marked().unwrap().unwrap().sequence, 3);
        // The next one is put in the place of the torn one.
        file.mark(&mut Head { sequence: 9, ..Head::default() }).unwrap();
        assert_eq!(file.latest_mark().unwrap().unwrap().0, latest);
        sys::write_all_at(&file.0, b"torn", SLOT).unwrap();
        sys::write_all_at(&file.0, b"torn", 2 * SLOT).unwrap();
        assert_eq!(file.marked().unwrap(), None);
    }
}
