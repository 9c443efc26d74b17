//! Counters that change with everything that voids what a process remembers of a folder.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use attestry_core::StorageError;

use crate::fs::layout::Folder;
use crate::fs::sys::{self, IoMode};

/// Of each number.
const DIGITS: usize = 20;
/// Two numbers, a space and a line break.
const TEXT_BYTES: usize = 2 * DIGITS + 2;

pub(crate) type LayoutDigits = [u8; DIGITS];

/// What was remembered of a folder holds as long as this stays the same.
///
/// The numbers are raised under the store's lock. The time of the folder's last change shows, to the
/// resolution of the file system's clock, what the Python package does, and that the folder itself was
/// moved or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) numbers: Numbers,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

/// What is asked for a stamp again and again, kept open: looking a path up takes longer than all the
/// rest. To be let go of whenever the stamp has changed: others may stand in their places.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    folder: Option<File>,
    counters: Option<File>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Numbers {
    /// Segments were created, opened for appending, renamed or unlinked, an append was undone, or one
    /// was made to a segment that is not the last.
    pub(crate) layout: u64,
    /// Lines were erased.
    pub(crate) erasures: u64,
}

impl Stamp {
    pub(crate) fn read(folder: &Folder) -> Result<Self, StorageError> {
        Self::read_with(folder, &mut Watched::default())
    }

    /// [`read`](Self::read), with what that opens kept in `watched` for the next time.
    pub(crate) fn read_with(folder: &Folder, watched: &mut Watched) -> Result<Self, StorageError> {
        let failed = |source| StorageError::io("list", folder.path(), source);
        let file = match &mut watched.folder {
            Some(file) => file,
            none => none.insert(File::open(folder.path()).map_err(failed)?),
        };
        // The time first: a change in between makes the stamp older than what is read after it.
        let metadata = file.metadata().map_err(failed)?;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Ok(Self { numbers: numbers(folder, &mut watched.counters)?, changed })
    }

    /// The stamp as of what `watched` has open, without waiting for the disk; `None` where that cannot
    /// be.
    pub(crate) fn read_cached(watched: &Watched) -> Option<Self> {
        let Watched { folder: Some(folder), counters: Some(counters) } = watched else {
            return None;
        };
        let metadata = folder.metadata().ok()?;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        let mut text = [0; TEXT_BYTES];
        sys::read_at_with(counters, &mut text, 0, IoMode::Cached).ok()?;
        Some(Self { numbers: parse(&text), changed })
    }

    /// What this becomes when lines are erased once and nothing else happens.
    pub(crate) fn with_one_more_erasure(self) -> Self {
        let erasures = self.numbers.erasures.wrapping_add(1);
        Self { numbers: Numbers { erasures, ..self.numbers }, ..self }
    }
}

fn numbers(folder: &Folder, counters: &mut Option<File>) -> Result<Numbers, StorageError> {
    let mut text = [0; TEXT_BYTES];
    let read = match counters {
        Some(file) => sys::read_at(file, &mut text, 0),
        None => File::open(folder.generation())
            .and_then(|file| sys::read_at(counters.insert(file), &mut text, 0)),
    };
    match read {
        Ok(_) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Numbers::default()),
        Err(source) => Err(StorageError::io("read", folder.generation(), source)),
    }
}

fn parse(text: &[u8]) -> Numbers {
    let mut numbers = text.split(|byte| !byte.is_ascii_digit()).map(|digits| {
        str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    });
    let mut next = || numbers.next().unwrap_or(0);
    Numbers { layout: next(), erasures: next() }
}

/// The first counter as it is written, for whoever only wants to know whether it is the same: that is
/// asked for each batch. The file is kept open in `counters`.
pub(crate) fn layout(
    folder: &Folder,
    counters: &mut Option<File>,
) -> Result<LayoutDigits, StorageError> {
    let failed = |source| StorageError::io("read", folder.generation(), source);
    let file = match counters {
        Some(file) => file,
        none => none.insert(File::open(folder.generation()).map_err(failed)?),
    };
    let mut digits = [0; DIGITS];
    sys::read_at(file, &mut digits, 0).map_err(failed)?;
    Ok(digits)
}

/// Makes the counters where there are none, so that readers need not look for them again and again.
/// The caller holds the lock.
pub(crate) fn create(folder: &Folder) -> Result<(), StorageError> {
    if folder.generation().exists() { Ok(()) } else { write(folder, Numbers::default()) }
}

/// Tells all processes to look at the segments anew: some were created, renamed or unlinked, or hold
/// what nobody would look for. The caller holds the lock.
pub(crate) fn raise_layout(folder: &Folder) -> Result<(), StorageError> {
    let numbers = numbers(folder, &mut None)?;
    write(folder, Numbers { layout: numbers.layout.wrapping_add(1), ..numbers })
}

/// Tells all processes that lines were erased. The caller holds the lock.
pub(crate) fn raise_erasures(folder: &Folder) -> Result<(), StorageError> {
    let numbers = numbers(folder, &mut None)?;
    write(folder, Numbers { erasures: numbers.erasures.wrapping_add(1), ..numbers })
}

fn write(folder: &Folder, numbers: Numbers) -> Result<(), StorageError> {
    let path = folder.generation();
    let failed = |source| StorageError::io("write", &path, source);
    let file = sys::open_read_write(&path).map_err(failed)?;
    // Twenty digits always: a reader never meets a shorter number in between.
    let text = format!("{:020} {:020}\n", numbers.layout, numbers.erasures);
    sys::write_all_at(&file, text.as_bytes(), 0).map_err(failed)
}
