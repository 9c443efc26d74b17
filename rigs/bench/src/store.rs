//! Stores for measurements: segment files written directly in the format of `docs/format.md`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use attestry::file::FileStorage;
use attestry::{AuditEntry, EntryId, Query, StorageBackend, Timestamp, line};

use crate::rng::Rng;
use crate::workload::{Workload, stored_id};
use crate::{Result, fresh_folder};

/// Age of the oldest entry. The retention period is half of it.
const DAYS: u32 = 730;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Number of ids to look up, and of others to delete.
const SAMPLE: u64 = 10_000;
const VICTIMS: u64 = 500;

/// A store and its known content.
#[derive(Debug)]
pub(crate) struct Store {
    /// Its folder.
    pub(crate) path: PathBuf,
    /// Rotation size.
    pub(crate) rotation: u64,
    /// Entries at creation.
    pub(crate) entries: u64,
    /// Bytes of all segments at creation.
    pub(crate) bytes: u64,
    /// Bytes of the active segment, which has no sealed index.
    pub(crate) active_bytes: u64,
    /// Number of segments.
    pub(crate) segments: usize,
    /// A range of 1 % of its time span, in the middle.
    pub(crate) range: (Timestamp, Timestamp),
    /// Entries in that range.
    pub(crate) in_range: u64,
    /// Numbers of entries to look up, in random order.
    pub(crate) sample: Vec<u64>,
    /// Numbers of entries to delete, in random order, outside the range.
    victims: Vec<u64>,
    /// Number of victims taken.
    taken: u64,
}

impl Store {
    /// Writes `entries` lines to segments of `rotation` bytes. Their times span two years evenly and mostly ascend: 1 % are
    /// up to an hour late, 0.01 % up to 20 days.
    pub(crate) fn make(
        path: PathBuf,
        entries: u64,
        rotation: u64,
        workload: &Workload,
    ) -> Result<Self> {
        Self::make_of(path, entries, rotation, |number, time| workload.stored(number, time))
    }

    /// [`make`](Self::make) with entries that `entry` makes of a number and a time.
    pub(crate) fn make_of(
        path: PathBuf,
        entries: u64,
        rotation: u64,
        entry: impl Fn(u64, Timestamp) -> Result<AuditEntry>,
    ) -> Result<Self> {
        let times = Times::new(entries)?;
        let (since, until) = (times.at_share(0.500)?, times.at_share(0.510)?);
        let mut segments = Segments::new(fresh_folder(path)?, rotation)?;
        let mut rng = Rng::new(2);
        let mut in_range = 0;
        let mut outside = Vec::new();
        for number in 0..entries {
            let timestamp = times.of(number, &mut rng)?;
            line::encode_into(&entry(number, timestamp)?, &mut segments.buffer)?;
            segments.next_line(timestamp)?;
            let hit = (since..=until).contains(&timestamp);
            in_range += u64::from(hit);
            if !hit && number % (entries / (VICTIMS * 2)).max(1) == 7 {
                outside.push(number);
            }
        }
        let (path, bytes, active_bytes, count) = segments.finish()?;
        rng.shuffle(&mut outside);
        // Both are spread over the whole store and disjoint.
        let step = (entries / SAMPLE).max(1);
        let taken: std::collections::HashSet<u64> = outside.iter().copied().collect();
        let mut sample: Vec<u64> = (0..entries)
            .step_by(usize::try_from(step)?)
            .filter(|number| !taken.contains(number))
            .collect();
        rng.shuffle(&mut sample);
        let range = (since, until);
        Ok(Self {
            path,
            rotation,
            entries,
            bytes,
            active_bytes,
            segments: count,
            range,
            in_range,
            sample,
            victims: outside,
            taken: 0,
        })
    }

    /// Ids to look up.
    pub(crate) fn sample_ids(&self, count: usize) -> Result<Vec<EntryId>> {
        self.sample.iter().take(count).map(|&number| stored_id(number)).collect()
    }

    /// Ids to delete; each is returned once.
    pub(crate) fn victims(&mut self, count: usize) -> Result<Vec<EntryId>> {
        let rest = self.victims.len().checked_sub(count).ok_or("no more entries to delete")?;
        self.taken += count as u64;
        self.victims.drain(rest..).map(stored_id).collect()
    }

    /// The number of entries once all taken victims are deleted.
    pub(crate) fn remaining(&self) -> u64 {
        self.entries - self.taken
    }

    /// The range as a query.
    pub(crate) fn query(&self) -> Query {
        Query::range(self.range.0, self.range.1)
    }

    /// Opens it.
    pub(crate) async fn open(&self) -> Result<FileStorage> {
        open(&self.path, self.rotation).await
    }

    /// Opens and closes it until all index files are on the disk.
    pub(crate) async fn settle(&self) -> Result<()> {
        let storage = self.open().await?;
        let count = storage.count().await?;
        if count < self.entries {
            return Err(format!("the store has {count} entries of {}", self.entries).into());
        }
        for id in self.sample_ids(100)? {
            storage.read(&id).await?.ok_or("an entry of the store is not found")?;
        }
        storage.close().await?;
        sync_indexes(&self.path)
    }

    /// Removes the segment indexes; returns the number of removed files and folders.
    pub(crate) fn remove_indexes(&self) -> Result<usize> {
        let mut removed = 0;
        let own = self.path.join(".attestry");
        if !own.is_dir() {
            return Ok(0);
        }
        for item in fs::read_dir(own)? {
            let item = item?;
            if item.file_name().to_string_lossy().starts_with("index") {
                let folder = item.file_type()?.is_dir();
                if folder {
                    fs::remove_dir_all(item.path())?;
                } else {
                    fs::remove_file(item.path())?;
                }
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Syncs the index files, which the store does not sync: the kernel writes them back within half a minute, and until
/// then the first deletion in a segment waits for its index file.
pub(crate) fn sync_indexes(store: &Path) -> Result<()> {
    let indexes = store.join(".attestry/index");
    if indexes.is_dir() {
        for item in fs::read_dir(indexes)? {
            File::open(item?.path())?.sync_all()?;
        }
    }
    Ok(())
}

/// All lines in the segments of a store.
pub(crate) fn lines(store: &Path) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            lines.extend(fs::read(path)?);
        }
    }
    Ok(lines)
}

/// Opens the store in `path`.
pub(crate) async fn open(path: &Path, rotation: u64) -> Result<FileStorage> {
    Ok(FileStorage::builder(path).rotation_size_bytes(rotation).open().await?)
}

/// The times of the entries.
struct Times {
    start: i64,
    span: i64,
    entries: i64,
}

impl Times {
    fn new(entries: u64) -> Result<Self> {
        let end = Timestamp::now();
        let start = end.saturating_sub_days(DAYS).unix_micros();
        Ok(Self { start, span: end.unix_micros() - start, entries: i64::try_from(entries)? })
    }

    fn of(&self, number: u64, rng: &mut Rng) -> Result<Timestamp> {
        let on_time = self.start + self.span / self.entries * i64::try_from(number)?;
        let late = match rng.below(10_000) {
            0 => 20 * MICROS_PER_DAY,
            1..=100 => MICROS_PER_DAY / 24,
            _ => 1_000_000,
        };
        let late = i64::try_from(rng.below(late.unsigned_abs()))?;
        Ok(Timestamp::from_unix_micros((on_time - late).max(self.start))?)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // two years in µs
    fn at_share(&self, share: f64) -> Result<Timestamp> {
        Ok(Timestamp::from_unix_micros(self.start + (self.span as f64 * share) as i64)?)
    }
}

/// Writes lines to segment files.
struct Segments {
    folder: PathBuf,
    rotation: u64,
    /// Unwritten lines.
    buffer: Vec<u8>,
    file: File,
    written: u64,
    total: u64,
    /// The last segment number of each day.
    numbers: HashMap<String, u32>,
    count: usize,
}

/// Name of the segment being written.
const UNNAMED: &str = "unnamed.tmp";

impl Segments {
    fn new(folder: PathBuf, rotation: u64) -> Result<Self> {
        let file = File::create(folder.join(UNNAMED))?;
        Ok(Self {
            folder,
            rotation,
            buffer: Vec::with_capacity(2 << 20),
            file,
            written: 0,
            total: 0,
            numbers: HashMap::new(),
            count: 0,
        })
    }

    /// Adds a line with this time.
    fn next_line(&mut self, timestamp: Timestamp) -> Result<()> {
        if self.written + self.buffer.len() as u64 >= self.rotation {
            self.write()?;
            let day = day(timestamp);
            let number = self.numbers.entry(day.clone()).or_default();
            *number += 1;
            let name = format!("audit_{day}_{number:03}.jsonl");
            self.seal(&name)?;
            self.file = File::create(self.folder.join(UNNAMED))?;
        } else if self.buffer.len() >= 1 << 20 {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn seal(&mut self, name: &str) -> Result<()> {
        self.file.sync_all()?; // so that no write-back runs during a measurement
        fs::rename(self.folder.join(UNNAMED), self.folder.join(name))?;
        self.total += self.written;
        self.written = 0;
        self.count += 1;
        Ok(())
    }

    /// The rest becomes today's active segment.
    fn finish(mut self) -> Result<(PathBuf, u64, u64, usize)> {
        self.write()?;
        let active = self.written;
        let name = format!("audit_{}.jsonl", day(Timestamp::now()));
        self.seal(&name)?;
        File::open(&self.folder)?.sync_all()?;
        Ok((self.folder, self.total, active, self.count))
    }
}

fn day(timestamp: Timestamp) -> String {
    let (year, month, day) = timestamp.date();
    format!("{year:04}{month:02}{day:02}")
}
