//! The interface of an anchor, and why a hand-over fails.

use std::error::Error;
use std::fmt;
use std::io;

use async_trait::async_trait;
use attestry_evidence::{OpenError, SignedCheckpoint};
use attestry_file::{EvidenceError, FileStorage};
use thiserror::Error;

use crate::http::HttpError;
use crate::timestamp::TimestampError;
use crate::witness::WitnessError;

/// Something outside the store that checkpoints are handed over to.
///
/// ```
/// use attestry_anchor::{Anchor, AnchorError, HandedOver};
/// use attestry_evidence::SignedCheckpoint;
/// use attestry_file::FileStorage;
///
/// #[derive(Debug)]
/// struct Printer;
///
/// #[async_trait::async_trait]
/// impl Anchor for Printer {
///     fn name(&self) -> String {
///         "printer".to_owned()
///     }
///
///     async fn hand_over(
///         &self,
///         checkpoint: &SignedCheckpoint,
///         _store: &FileStorage,
///     ) -> Result<HandedOver, AnchorError> {
///         println!("{checkpoint}");
///         Ok(HandedOver::default())
///     }
/// }
/// ```
#[async_trait]
pub trait Anchor: fmt::Debug + Send + Sync {
    /// The name under which the anchor's state is kept. It must differ from those of other anchors of the
    /// store, and be the same after a restart. It must not contain a secret.
    fn name(&self) -> String;

    /// Hands `checkpoint`, the latest one of `store`, over. Returns once the anchor has it.
    ///
    /// Implementations must be idempotent: after a crash the same checkpoint comes again. The
    /// [`Dispatcher`](crate::Dispatcher) makes one call at a time, and drops the future after a timeout.
    ///
    /// # Errors
    ///
    /// [`AnchorError`]. The dispatcher calls again later, with the checkpoint that is the latest then.
    async fn hand_over(
        &self,
        checkpoint: &SignedCheckpoint,
        store: &FileStorage,
    ) -> Result<HandedOver, AnchorError>;
}

#[async_trait]
impl Anchor for Box<dyn Anchor> {
    fn name(&self) -> String {
        (**self).name()
    }

    async fn hand_over(
        &self,
        checkpoint: &SignedCheckpoint,
        store: &FileStorage,
    ) -> Result<HandedOver, AnchorError> {
        (**self).hand_over(checkpoint, store).await
    }
}

/// A hand-over that succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandedOver {
    /// What was missing although it succeeded, such as a witness beyond the number needed that failed.
    pub lacking: Option<String>,
}

impl HandedOver {
    /// A hand-over that succeeded, but for this.
    #[must_use]
    pub fn lacking(text: impl Into<String>) -> Self {
        Self { lacking: Some(text.into()) }
    }
}

/// Why a checkpoint could not be handed over.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// Too few witnesses cosigned.
    #[error("{found} of {needed} needed witnesses cosigned: {}", listed(failures))]
    TooFewWitnesses {
        /// The cosignatures needed.
        needed: usize,
        /// The cosignatures obtained.
        found: usize,
        /// The witnesses that failed, by name.
        failures: Vec<(String, WitnessError)>,
    },
    /// The witnesses that cosigned are not the quorum of the policy.
    #[error("the {found} witnesses that cosigned are not the quorum: {}", listed(failures))]
    NoQuorum {
        /// The cosignatures obtained.
        found: usize,
        /// The witnesses that failed, by name.
        failures: Vec<(String, WitnessError)>,
    },
    /// A newer checkpoint is stored; hand that over instead.
    #[error("a newer checkpoint has been signed meanwhile")]
    Superseded,
    /// The HTTP request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The reply of a timestamp authority is not accepted.
    #[error("the timestamp is not accepted")]
    Timestamp(#[from] TimestampError),
    /// A file of the anchor cannot be written.
    #[error("cannot write to {path}")]
    Io {
        /// The file or folder.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// A program cannot be started or reports a failure.
    #[error("{program} failed: {reason}")]
    Program {
        /// The program.
        program: String,
        /// Its exit status, and the end of what it printed on standard error.
        reason: String,
    },
    /// The attempt took too long.
    #[error("no answer within {seconds} s")]
    Timeout {
        /// The timeout.
        seconds: u64,
    },
    /// The checkpoint does not satisfy the policy: it is of another log.
    #[error("this checkpoint is not one of the log to anchor")]
    Checkpoint(#[from] OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] EvidenceError),
    /// An anchor that is implemented elsewhere failed.
    #[error("{message}")]
    Other {
        /// What failed.
        message: String,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl AnchorError {
    /// Whether an anchor contradicts the store: it has seen a larger or another tree of this log. Either the
    /// store was rolled back, or its key signs elsewhere. No retry resolves that.
    #[must_use]
    pub fn is_contradiction(&self) -> bool {
        match self {
            Self::TooFewWitnesses { failures, .. } | Self::NoQuorum { failures, .. } => {
                failures.iter().any(|(_, error)| error.is_contradiction())
            }
            Self::Store(EvidenceError::Disagrees { .. }) => true,
            _ => false,
        }
    }
}

fn listed(failures: &[(String, WitnessError)]) -> String {
    let each = failures.iter().map(|(name, error)| format!("{name}: {}", with_causes(error)));
    each.collect::<Vec<_>>().join("; ")
}

/// The message of an error with those of its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
