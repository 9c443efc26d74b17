//! What a verification found.

use std::fmt;
use std::path::PathBuf;

use attestry_core::{Timestamp, line};
use attestry_evidence::{Cosignature, Hash};

use crate::fs::layout::Folder;
use crate::fs::sys;
use crate::segment::SegmentName;
use crate::tree::lines::HashedLine;
use crate::tree::view::OpenSegment;

/// So many problems are listed; the others are only counted.
const MOST_LISTED: usize = 1_000;

/// So much of a line is looked at for its id.
const ID_WITHIN: u64 = 64 << 10;

/// What a store is, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// How many leaves the tree has: lines that were ever logged, and records of erasures.
    pub leaves: u64,
    /// The root of the tree.
    pub root: Hash,
    /// How many lines are there as they were logged.
    pub lines: u64,
    /// How many are gone, as is on record.
    pub erased: u64,
    /// How many erasures are on record.
    pub records: u64,
    /// What was there before the tree was begun: nothing is proven of the time before that.
    pub adopted: Option<Backfill>,
    /// Lines at the end of the segment that grows which another program has written, and which are
    /// not in the tree yet. Nothing is proven of them. Opening the store for writing takes them in.
    pub not_covered: u64,
    /// How many genuine checkpoints the tree was held against.
    pub checkpoints: u64,
    /// How many checkpoints of logs of other names there are, which nobody knows how to believe: by
    /// an earlier key, for instance.
    pub foreign_checkpoints: u64,
    /// How many leaves the largest of the genuine ones is of that hold. Nothing is proven of leaves behind it.
    pub signed: Option<u64>,
    /// The largest that was cosigned by witnesses of the policy.
    pub witnessed: Option<CosignedCheckpoint>,
    /// What is wrong, at most 1,000 things.
    pub problems: Vec<EvidenceProblem>,
    /// How many more there are.
    pub problems_unlisted: u64,
}

impl Verification {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.problems_unlisted == 0
    }
}

/// Lines that were taken into a tree when it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backfill {
    /// How many: the first leaves of the tree.
    pub leaves: u64,
    /// When.
    pub at: Timestamp,
}

/// A checkpoint that witnesses have seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CosignedCheckpoint {
    /// How many leaves it is of.
    pub leaves: u64,
    /// Who has seen it when.
    pub by: Vec<Cosignature>,
}

/// Something in a store that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvidenceProblem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// The file.
    pub path: Option<PathBuf>,
    /// Where in it, in bytes.
    pub offset: Option<u64>,
    /// The id of the entry, as far as its line can be read.
    pub id: Option<String>,
    /// The leaf; of several side by side, the first.
    pub leaf: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

/// Kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A line is another than was logged.
    Altered,
    /// A line is gone, and no record says that it was erased.
    Missing,
    /// A line was never logged.
    Inserted,
    /// A line is not where it was logged.
    Moved,
    /// A line is on record as erased, and is there.
    StillThere,
    /// An erasure record is not what it should be.
    FalseRecord,
    /// The tree is not the one a checkpoint is of, or the checkpoint is not genuine.
    Checkpoint,
}

impl ProblemKind {
    /// A word for it: `altered`, `missing`, `inserted`, `moved`, `still-there`, `false-record`,
    /// `checkpoint`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Inserted => "inserted",
            Self::Moved => "moved",
            Self::StillThere => "still-there",
            Self::FalseRecord => "false-record",
            Self::Checkpoint => "checkpoint",
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line: the place, the entry, and what is wrong.
impl fmt::Display for EvidenceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.offset) {
            (Some(path), Some(offset)) => write!(f, "{}:{offset}: ", path.display())?,
            (Some(path), None) => write!(f, "{}: ", path.display())?,
            (None, _) => {}
        }
        if let Some(id) = &self.id {
            write!(f, "entry {id}: ")?;
        }
        write!(f, "{}: {}", self.kind, self.reason)?;
        match self.leaf {
            Some(leaf) if self.kind != ProblemKind::Missing => write!(f, " (leaf {leaf})"),
            _ => Ok(()),
        }
    }
}

/// Gathers problems.
pub(super) struct Problems {
    folder: Folder,
    list: Vec<EvidenceProblem>,
    unlisted: u64,
}

impl Problems {
    pub(super) fn new(folder: Folder) -> Self {
        Self { folder, list: Vec::new(), unlisted: 0 }
    }

    pub(super) fn path(&self, name: SegmentName) -> PathBuf {
        self.folder.segment(name)
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.folder.tree()
    }

    fn add(&mut self, problem: EvidenceProblem) {
        if self.list.len() < MOST_LISTED {
            self.list.push(problem);
        } else {
            self.unlisted += 1;
        }
    }

    /// Counts problems that somebody else did not list.
    pub(super) fn unlisted(&mut self, count: u64) {
        self.unlisted += count;
    }

    /// About a line that is there.
    pub(super) fn of_line(
        &mut self,
        kind: ProblemKind,
        name: SegmentName,
        segment: Option<&OpenSegment>,
        line: &HashedLine,
        leaf: Option<u64>,
        reason: &str,
    ) {
        let id = segment.and_then(|segment| id_in(segment, line));
        let (path, offset) = (Some(self.path(name)), Some(line.offset));
        self.add(EvidenceProblem { kind, path, offset, id, leaf, reason: reason.to_owned() });
    }

    /// About leaves of a segment.
    pub(super) fn of_leaves(
        &mut self,
        kind: ProblemKind,
        name: Option<SegmentName>,
        leaf: u64,
        reason: String,
    ) {
        let path = name.map(|name| self.path(name));
        let (offset, id, leaf) = (None, None, Some(leaf));
        self.add(EvidenceProblem { kind, path, offset, id, leaf, reason });
    }

    /// About a leaf that is no line.
    pub(super) fn of_leaf(&mut self, kind: ProblemKind, leaf: u64, reason: impl Into<String>) {
        let path = Some(self.folder.tree().join("erasures"));
        let (offset, id, leaf, reason) = (None, None, Some(leaf), reason.into());
        self.add(EvidenceProblem { kind, path, offset, id, leaf, reason });
    }

    /// About a checkpoint; without a place where it was kept elsewhere.
    pub(super) fn of_checkpoint(&mut self, place: Option<(PathBuf, u64)>, reason: String) {
        let (path, offset) = place.unzip();
        let (kind, id, leaf) = (ProblemKind::Checkpoint, None, None);
        self.add(EvidenceProblem { kind, path, offset, id, leaf, reason });
    }

    pub(super) fn into_parts(self) -> (Vec<EvidenceProblem>, u64) {
        (self.list, self.unlisted)
    }
}

/// The id in a line, even where the rest of it cannot be read.
fn id_in(segment: &OpenSegment, at: &HashedLine) -> Option<String> {
    let mut bytes = vec![0; usize::try_from(at.length.min(ID_WITHIN)).ok()?];
    sys::read_exact_at(&segment.file, &mut bytes, at.offset).ok()?;
    if let Ok(entry) = line::decode(&bytes) {
        return Some(entry.id.to_string());
    }
    const KEY: &[u8] = b"\"id\": \"";
    let start = memchr::memmem::find(&bytes, KEY)? + KEY.len();
    let length = memchr::memchr(b'"', &bytes[start..])?;
    String::from_utf8(bytes[start..start + length].to_vec()).ok()
}
