//! What takes long, done in parts.

use attestry_core::StorageError;

use super::Changes;
use super::compact::Compaction;
use super::expire::Expiry;
use crate::fs::lock::Held;

/// Work on as much of the store as there is. All others, of this process and of any other, have their
/// turn between two parts of it.
#[derive(Debug)]
pub(crate) enum Chore {
    Compact(Compaction),
    Expire(Expiry),
}

impl Chore {
    /// Answers that it was not begun, or not gone on with.
    pub(super) fn refuse(self, error: &StorageError) {
        match self {
            Self::Compact(compaction) => compaction.refuse(error),
            Self::Expire(expiry) => expiry.refuse(error),
        }
    }
}

impl Changes {
    /// Does the next part. What is left to do comes back; else the caller was answered.
    pub(super) fn go_on(&mut self, chore: Chore, held: &Held<'_>) -> Option<Chore> {
        match chore {
            Chore::Compact(compaction) => self.compact(compaction, held).map(Chore::Compact),
            Chore::Expire(expiry) => self.expire(expiry, held).map(Chore::Expire),
        }
    }

    /// Does all that is left.
    pub(super) fn finish(&mut self, chores: impl Iterator<Item = Chore>, held: &Held<'_>) {
        for mut left in chores.map(Some) {
            while let Some(chore) = left.take() {
                left = self.go_on(chore, held);
            }
        }
    }
}
