//! What a verification compares the store with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use attestry_evidence::{Checkpoint, OpenedCheckpoint, Policy, SignedCheckpoint};

/// What a store is verified against; for [`FileStorage::verify`](crate::FileStorage::verify).
///
/// Without a [`policy`](Self::policy) the signatures of the stored checkpoints are not verified, and the
/// result states only whether the store is consistent with itself.
#[derive(Clone, Default)]
#[must_use = "options do nothing until they are passed to a store"]
pub struct VerifyOptions {
    pub(super) policy: Option<Policy>,
    pub(super) external: Vec<Checkpoint>,
    pub(super) external_notes: Vec<SignedCheckpoint>,
    pub(super) max_age: Option<Duration>,
    progress: Option<Arc<dyn Fn(VerifyProgress) + Send + Sync>>,
}

/// Progress of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// Leaves verified so far.
    pub leaves: u64,
    /// Leaves of the tree.
    pub leaves_total: u64,
}

impl VerifyOptions {
    /// Compares the store with itself only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Verifies signatures. The stored checkpoints with the origin of the policy must be signed with its
    /// key, and unless the tree is empty, there must be one. If the policy requires witnesses, one must
    /// have enough cosignatures.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Also compares the store with a checkpoint that was kept outside it. Only this detects a store that
    /// was replaced by an older copy, or rewritten with the signing key.
    pub fn against(mut self, checkpoint: &OpenedCheckpoint) -> Self {
        self.external.push(checkpoint.checkpoint().clone());
        self
    }

    /// [`against`](Self::against) with a checkpoint whose signature is verified by the
    /// [`policy`](Self::policy), and by the keys that the records of the log lead to: it may be signed with a
    /// former or later key than the policy's. One that is not authentic is a
    /// [problem](crate::ProblemKind::Checkpoint).
    pub fn against_signed(mut self, checkpoint: SignedCheckpoint) -> Self {
        self.external_notes.push(checkpoint);
        self
    }

    /// Reports a [problem](crate::ProblemKind::Outdated) if the newest checkpoint that matches is older, or
    /// there is none: signing has stopped, or the store is an older copy. Its time is that of the latest
    /// cosignature of a witness of the policy, or else that of its file, which an attacker can change. A
    /// store in which nothing is written gets no new checkpoints.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Whether a checkpoint that was kept outside the store is given.
    pub(super) fn has_external(&self) -> bool {
        !self.external.is_empty() || !self.external_notes.is_empty()
    }

    /// Calls `callback` periodically and at the end, on the thread that verifies.
    pub fn on_progress(
        mut self,
        callback: impl Fn(VerifyProgress) + Send + Sync + 'static,
    ) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    pub(super) fn report_progress(&self, leaves: u64, leaves_total: u64) {
        if let Some(callback) = &self.progress {
            callback(VerifyProgress { leaves, leaves_total });
        }
    }
}

impl fmt::Debug for VerifyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyOptions")
            .field("policy", &self.policy)
            .field("external", &self.external)
            .field("external_notes", &self.external_notes)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
