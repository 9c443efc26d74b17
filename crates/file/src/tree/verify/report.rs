//! The result of a verification.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;

use attestry_core::{Timestamp, line};
use attestry_evidence::{Cosignature, Hash};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::observation::{Observation, ObservationKind};
use crate::fs::layout::Folder;
use crate::fs::sys;
use crate::segment::SegmentName;
use crate::tree::line_hashes::HashedLine;
use crate::tree::snapshot::OpenSegment;

const MAX_LISTED: usize = 1_000;

/// Bytes of a line in which its id is searched for.
const ID_SEARCH_BYTES: u64 = 64 << 10;

/// The result of verifying a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Leaves of the tree: every line that was ever logged, and the erasure records.
    pub leaves: u64,
    /// Root of the tree.
    pub root: Hash,
    /// Lines that exist as logged.
    pub lines: u64,
    /// Lines whose erasure is recorded.
    pub erased: u64,
    /// Erasure records.
    pub records: u64,
    /// Other signed records: of keys, for example.
    pub statements: u64,
    /// Lines that existed before the tree was created; nothing is proven about the time before that.
    /// `None` if there were none.
    pub adopted: Option<Backfill>,
    /// Lines at the end of the active segment that another program wrote and that are not in the tree
    /// yet. Nothing is proven about them. They are added when the store is opened for writing.
    pub not_covered: u64,
    /// Checkpoints the tree was compared with: external ones, and stored ones with valid signatures.
    pub checkpoints: u64,
    /// Checkpoints with another origin, which were not verified (a previous key, for example).
    pub foreign_checkpoints: u64,
    /// Leaves of the largest checkpoint that matches the tree. Nothing is proven about leaves behind it.
    pub signed: Option<u64>,
    /// The largest matching checkpoint with cosignatures of witnesses of the policy.
    pub witnessed: Option<CosignedCheckpoint>,
    /// The newest checkpoint that matches, if its time is known.
    pub newest: Option<NewestCheckpoint>,
    /// What is not a problem by itself, but limits what is proven; each kind once.
    pub observations: Vec<Observation>,
    /// Problems, at most 1,000.
    pub problems: Vec<EvidenceProblem>,
    /// How many further problems there are.
    pub problems_unlisted: u64,
}

impl Verification {
    /// Whether there are no problems.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.problems_unlisted == 0
    }

    /// The number of observations of this kind.
    #[must_use]
    pub fn observed(&self, kind: ObservationKind) -> u64 {
        let mut of_kind = self.observations.iter().filter(|observation| observation.kind == kind);
        of_kind.next().map_or(0, |observation| observation.count)
    }

    /// The result for a folder without a tree of which a checkpoint was kept.
    pub(super) fn without_tree(reason: String) -> Self {
        let (kind, path, offset, id, leaf) = (ProblemKind::EvidenceRemoved, None, None, None, None);
        Self {
            leaves: 0,
            root: Hash::EMPTY_TREE,
            lines: 0,
            erased: 0,
            records: 0,
            statements: 0,
            adopted: None,
            not_covered: 0,
            checkpoints: 0,
            foreign_checkpoints: 0,
            signed: None,
            witnessed: None,
            newest: None,
            observations: Vec::new(),
            problems: vec![EvidenceProblem { kind, path, offset, id, leaf, reason }],
            problems_unlisted: 0,
        }
    }
}

/// As `attestry verify --format json` prints it, without what that adds.
impl Serialize for Verification {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cosigners = |by: &[Cosignature]| {
            let one = |by: &Cosignature| json!({ "witness": by.witness, "at": by.time() });
            by.iter().map(one).collect::<Vec<_>>()
        };
        let problem = |problem: &EvidenceProblem| {
            json!({
                "kind": problem.kind.as_str(),
                "path": problem.path.as_ref().map(|path| path.display().to_string()),
                "offset": problem.offset,
                "id": problem.id,
                "leaf": problem.leaf,
                "reason": problem.reason,
            })
        };
        json!({
            "leaves": self.leaves,
            "root": self.root,
            "lines": self.lines,
            "erased": self.erased,
            "erasure_records": self.records,
            "statements": self.statements,
            "adopted": self.adopted.map(|adopted| json!({ "leaves": adopted.leaves, "at": adopted.at })),
            "not_covered": self.not_covered,
            "checkpoints": self.checkpoints,
            "foreign_checkpoints": self.foreign_checkpoints,
            "signed": self.signed,
            "witnessed": self.witnessed.as_ref().map(|witnessed| json!({
                "leaves": witnessed.leaves,
                "by": cosigners(&witnessed.by),
            })),
            "newest": self.newest.map(|newest| json!({
                "leaves": newest.leaves,
                "at": newest.at,
                "witnessed": newest.witnessed,
            })),
            "observations": self.observations.iter()
                .map(|noted| json!({ "kind": noted.kind.as_str(), "count": noted.count }))
                .collect::<Vec<_>>(),
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
            "problems_unlisted": self.problems_unlisted,
        })
        .serialize(serializer)
    }
}

/// File and offset.
pub(super) type Place = Option<(PathBuf, u64)>;

/// The newest checkpoint that matches the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewestCheckpoint {
    /// Its number of leaves.
    pub leaves: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// Whether a witness states that time. Otherwise it is that of the file.
    pub witnessed: bool,
}

/// The lines that existed when the tree was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backfill {
    /// How many: the first leaves of the tree.
    pub leaves: u64,
    /// When the tree was created.
    pub at: Timestamp,
}

/// A checkpoint with cosignatures.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CosignedCheckpoint {
    /// Its number of leaves.
    pub leaves: u64,
    /// The cosignatures.
    pub by: Vec<Cosignature>,
}

/// A difference between the store and what was logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvidenceProblem {
    /// The kind of difference.
    pub kind: ProblemKind,
    /// The file.
    pub path: Option<PathBuf>,
    /// The offset in it, in bytes.
    pub offset: Option<u64>,
    /// The id of the entry, if it can be read from its line.
    pub id: Option<String>,
    /// The leaf; the first one of several adjacent leaves.
    pub leaf: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

/// Kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A line differs from the logged one.
    Altered,
    /// A line is missing, and no record states its erasure.
    Missing,
    /// A line was never logged.
    Inserted,
    /// A line is not where it was logged, in its segment or in another one.
    Moved,
    /// The lines of a segment are in a file with another name.
    Renamed,
    /// A line exists although a record states its erasure.
    StillThere,
    /// An erasure record is invalid, or was never logged.
    FalseRecord,
    /// A checkpoint does not match the tree, its signature is invalid, or a required one is missing.
    Checkpoint,
    /// The key of the log has signed two histories that contradict each other.
    Fork,
    /// A hash above the leaves is not what the leaves lead to. `rebuild_tree` repairs that.
    StoredHash,
    /// The store has no tree, although a checkpoint of it was kept.
    EvidenceRemoved,
    /// The newest checkpoint is older than it may be.
    Outdated,
}

impl ProblemKind {
    /// A stable name: `altered`, `missing`, `inserted`, `moved`, `renamed`, `still-there`,
    /// `false-record`, `checkpoint`, `fork`, `stored-hash`, `evidence-removed`, `outdated`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Inserted => "inserted",
            Self::Moved => "moved",
            Self::Renamed => "renamed",
            Self::StillThere => "still-there",
            Self::FalseRecord => "false-record",
            Self::Checkpoint => "checkpoint",
            Self::Fork => "fork",
            Self::StoredHash => "stored-hash",
            Self::EvidenceRemoved => "evidence-removed",
            Self::Outdated => "outdated",
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line: file and offset, entry, kind, reason.
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

/// Collects problems.
pub(super) struct Problems {
    folder: Folder,
    list: Vec<EvidenceProblem>,
    unlisted: u64,
    /// The hashes of lines, by the index of their problem.
    lines: BTreeMap<usize, Hash>,
}

impl Problems {
    pub(super) fn new(folder: Folder) -> Self {
        Self { folder, list: Vec::new(), unlisted: 0, lines: BTreeMap::new() }
    }

    pub(super) fn path(&self, name: SegmentName) -> PathBuf {
        self.folder.segment(name)
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.folder.tree()
    }

    fn add(&mut self, problem: EvidenceProblem) {
        if self.list.len() < MAX_LISTED {
            self.list.push(problem);
        } else {
            self.unlisted += 1;
        }
    }

    /// Turns problems of lines that belong to one of the leaves `lost` elsewhere, into moved lines. Returns these
    /// leaves.
    pub(super) fn find_moved(&mut self, lost: &HashMap<Hash, u64>) -> BTreeSet<u64> {
        let leaf_of = |index: &usize| {
            let leaf = self.lines.get(index).and_then(|hash| lost.get(hash))?;
            Some(*leaf)
        };
        let candidates: Vec<(usize, u64)> =
            (0..self.list.len()).filter_map(|index| Some((index, leaf_of(&index)?))).collect();
        let found: BTreeSet<u64> = candidates.iter().map(|(_, leaf)| *leaf).collect();
        let mut moved = BTreeSet::new();
        for (index, leaf) in candidates {
            let problem = &mut self.list[index];
            let is_moved = match problem.kind {
                ProblemKind::Inserted => true,
                // The line that was here is elsewhere, too; otherwise it is lost, which is worse.
                ProblemKind::Altered => problem.leaf.is_some_and(|here| found.contains(&here)),
                _ => false,
            };
            if is_moved {
                moved.insert(leaf);
                problem.kind = ProblemKind::Moved;
                problem.leaf = Some(leaf);
                "the line was logged in another place".clone_into(&mut problem.reason);
            }
        }
        moved
    }

    pub(super) fn add_unlisted(&mut self, count: u64) {
        self.unlisted += count;
    }

    /// Adds a problem of an existing line.
    pub(super) fn add_line(
        &mut self,
        kind: ProblemKind,
        name: SegmentName,
        segment: Option<&OpenSegment>,
        line: &HashedLine,
        leaf: Option<u64>,
        reason: &str,
    ) {
        let id = segment.and_then(|segment| id_of(segment, line));
        let (path, offset) = (Some(self.path(name)), Some(line.offset));
        if self.list.len() < MAX_LISTED {
            self.lines.insert(self.list.len(), line.hash);
        }
        self.add(EvidenceProblem { kind, path, offset, id, leaf, reason: reason.to_owned() });
    }

    /// Adds a problem of a leaf whose line is missing or should be, or of a segment.
    pub(super) fn add_leaf(
        &mut self,
        kind: ProblemKind,
        name: Option<SegmentName>,
        leaf: Option<u64>,
        reason: String,
    ) {
        let path = name.map(|name| self.path(name));
        let (offset, id) = (None, None);
        self.add(EvidenceProblem { kind, path, offset, id, leaf, reason });
    }

    /// Adds a problem of an erasure record.
    pub(super) fn add_record(&mut self, kind: ProblemKind, leaf: u64, reason: impl Into<String>) {
        let path = Some(self.folder.tree().join("erasures"));
        let (offset, id, leaf, reason) = (None, None, Some(leaf), reason.into());
        self.add(EvidenceProblem { kind, path, offset, id, leaf, reason });
    }

    /// Adds a problem of a checkpoint; an external one has no place.
    pub(super) fn add_checkpoint(&mut self, kind: ProblemKind, place: Place, reason: String) {
        let (path, offset) = place.unzip();
        let (id, leaf) = (None, None);
        self.add(EvidenceProblem { kind, path, offset, id, leaf, reason });
    }

    /// Adds a problem of the hashes in a file of the tree.
    pub(super) fn add_stored_hash(&mut self, file: &str, offset: Option<u64>, reason: String) {
        let (kind, path) = (ProblemKind::StoredHash, Some(self.tree().join(file)));
        self.add(EvidenceProblem { kind, path, offset, id: None, leaf: None, reason });
    }

    pub(super) fn into_parts(self) -> (Vec<EvidenceProblem>, u64) {
        (self.list, self.unlisted)
    }
}

/// The id of the entry in a line, which need not be valid otherwise.
fn id_of(segment: &OpenSegment, at: &HashedLine) -> Option<String> {
    let mut bytes = vec![0; usize::try_from(at.length.min(ID_SEARCH_BYTES)).ok()?];
    sys::read_exact_at(&segment.file, &mut bytes, at.offset).ok()?;
    if let Ok(entry) = line::decode(&bytes) {
        return Some(entry.id.to_string());
    }
    const KEY: &[u8] = b"\"id\": \"";
    let start = memchr::memmem::find(&bytes, KEY)? + KEY.len();
    let length = memchr::memchr(b'"', &bytes[start..])?;
    String::from_utf8(bytes[start..start + length].to_vec()).ok()
}
