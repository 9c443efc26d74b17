//! What stands in for the evidence where the feature `evidence` is off: nothing is kept, and a
//! folder that keeps evidence is not written to.
#![allow(clippy::unnecessary_wraps, clippy::unused_self)] // as fallible as the other

use std::fs::File;
use std::time::Instant;

use attestry_core::{StorageError, Timestamp};

use crate::builder::Durability;
use crate::erase::Note;
use crate::fs::layout::Folder;
use crate::segment::SegmentName;
use crate::writer::LineEnd;

/// What is known of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf;

/// Makes nothing of a line.
pub(crate) fn leaf_of(_: &[u8], _: bool) -> Leaf {
    Leaf
}

/// Settings there are none of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings(());

impl Settings {
    pub(crate) fn of(self, _: Durability) -> Self {
        self
    }

    pub(crate) fn note(&self, reason: String) -> Result<Note, StorageError> {
        Ok(Note { reason, by: String::new(), at: Timestamp::now() })
    }
}

/// Keeps no evidence.
#[derive(Debug)]
pub(crate) struct Ledger;

impl Ledger {
    pub(crate) fn open(folder: &Folder, _: &Settings) -> Result<Self, StorageError> {
        if folder.tree().join("head").exists() {
            let message = format!(
                "{} keeps evidence, which this build cannot: build it with the feature `evidence`",
                folder.path().display()
            );
            return Err(StorageError::Other { message, source: None });
        }
        Ok(Self)
    }

    pub(crate) fn is_kept(&self) -> bool {
        false
    }

    pub(crate) fn broken(&self) -> Option<String> {
        None
    }

    pub(crate) fn catch_up(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    pub(crate) fn cover(
        &mut self,
        _: SegmentName,
        _: &File,
        _: u64,
        _: bool,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    pub(crate) fn extend(&mut self, _: &[u8], _: usize, _: &[LineEnd], _: u64) {}

    pub(crate) fn renaming(&mut self, _: SegmentName, _: SegmentName) -> Result<(), StorageError> {
        Ok(())
    }

    pub(crate) fn removed(&mut self, _: SegmentName) {}

    pub(crate) fn compacted(&mut self, _: SegmentName, _: u64) {}

    pub(crate) fn before_erasing(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    pub(crate) fn find_line(
        &mut self,
        _: SegmentName,
        _: &[u8],
        _: f64,
    ) -> Result<Option<u64>, StorageError> {
        Ok(None)
    }

    pub(crate) fn lines_of(&mut self, _: SegmentName) -> Result<Vec<(u64, u64)>, StorageError> {
        Ok(Vec::new())
    }

    pub(crate) fn record(
        &mut self,
        _: &[(u64, u64)],
        _: &Note,
        _: bool,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        None
    }

    pub(crate) fn sign_when_due(&mut self, _: Result<(), StorageError>) {}

    pub(crate) fn take_signed(&mut self) -> Signed {
        Signed
    }

    pub(crate) fn close(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// Nothing that was signed.
pub(crate) struct Signed;

impl Signed {
    pub(crate) fn is_empty(&self) -> bool {
        true
    }

    pub(crate) fn tell(self) {}
}
