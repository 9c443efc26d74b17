//! What a verification reports without calling it a problem.

use std::fmt;

/// Something that a verification has found and that need not be tampering, but may hide it.
///
/// [`Verification::observations`](crate::Verification::observations) lists those that occur, each kind
/// once. A strict verifier takes each for a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation {
    /// The kind.
    pub kind: ObservationKind,
    /// How often: lines, leaves, records or checkpoints, by kind.
    pub count: u64,
    /// One sentence for people.
    pub text: String,
}

/// Kinds of observations, and what each counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ObservationKind {
    /// The store has no line. Counts the leaves that there were.
    Empty,
    /// Lines that existed before the tree: nothing is proven about the time before.
    Adopted,
    /// Lines that are not in the tree yet: another program wrote them, and the next opening for writing adds
    /// them.
    NotCovered,
    /// Segments that are not written to any more and whose last line has no line break. Counts segments.
    Unterminated,
    /// Files that are older or newer than others: they were copied while the store was written. Counts files,
    /// and checkpoints that are newer than the tree.
    CopiedWhileWriting,
    /// Leaves that no checkpoint covers.
    Unsigned,
    /// Erasure records without a signature, which a checkpoint covers: earlier versions wrote them.
    UnsignedRecord,
    /// Records of the owner that a contradiction was accepted.
    Accepted,
    /// Cosignatures of known witnesses whose time is more than ten minutes in the future, by the clock of this
    /// machine: one of the two clocks is wrong.
    FutureCosignature,
    /// Checkpoints of a key that was replaced or ended before. They match the tree, but prove nothing.
    EndedKey,
    /// Checkpoints with another origin, which were not verified.
    ForeignCheckpoint,
    /// No public key was given: signatures were not verified. Counts checkpoints.
    NotVerified,
}

impl ObservationKind {
    /// A stable name, such as `not-covered`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Adopted => "adopted",
            Self::NotCovered => "not-covered",
            Self::Unterminated => "unterminated",
            Self::CopiedWhileWriting => "copied-while-writing",
            Self::Unsigned => "unsigned",
            Self::UnsignedRecord => "unsigned-record",
            Self::Accepted => "accepted",
            Self::FutureCosignature => "future-cosignature",
            Self::EndedKey => "ended-key",
            Self::ForeignCheckpoint => "foreign-checkpoint",
            Self::NotVerified => "not-verified",
        }
    }
}

impl fmt::Display for ObservationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

/// Collects observations.
#[derive(Debug, Default)]
pub(super) struct Observations(Vec<Observation>);

impl Observations {
    /// Adds an observation, unless there is nothing to count. `singular` and `plural` follow the number.
    pub(super) fn add(&mut self, kind: ObservationKind, count: u64, singular: &str, plural: &str) {
        if count > 0 {
            let what = if count == 1 { singular } else { plural };
            self.0.push(Observation { kind, count, text: format!("{count} {what}") });
        }
    }

    pub(super) fn into_vec(self) -> Vec<Observation> {
        self.0
    }
}
