//! What callers submit to the writer thread.

use std::fmt;

use attestry_core::{EntryId, StorageError};
use tokio::sync::oneshot;

use super::batch::Batch;
use super::completion::share;
use crate::maintenance::MaintenanceJob;
use crate::observer::{EraseReason, LogObserver};

/// Sends the result of a job to its caller, which may be gone.
pub(crate) type Responder<T> = oneshot::Sender<Result<T, StorageError>>;

#[derive(Debug)]
pub(crate) enum Job {
    Append(Batch),
    Delete {
        ids: Vec<EntryId>,
        reason: EraseReason,
        responder: Responder<Vec<bool>>,
    },
    Maintain {
        job: MaintenanceJob,
        responder: Responder<u64>,
    },
    RemoveQuarantined {
        name: String,
        responder: Responder<bool>,
    },
    Flush {
        responder: Responder<()>,
    },
    #[cfg_attr(not(feature = "evidence"), allow(dead_code))] // only the tree is called
    Observer(ObserverCall),
    Close {
        responder: Responder<()>,
    },
}

impl Job {
    /// A job that calls `function` with the observer. Type and lifetime of the argument allow a downcast.
    #[cfg(feature = "evidence")]
    pub(crate) fn observer(
        function: impl FnOnce(Result<&mut AnyObserver, StorageError>) + Send + 'static,
    ) -> Self {
        Self::Observer(ObserverCall(Box::new(function)))
    }

    /// Responds with `error`: the job was not started.
    pub(super) fn refuse(self, error: &StorageError) {
        match self {
            Self::Append(batch) => batch.refuse(error),
            Self::Delete { responder, .. } => drop(responder.send(Err(share(error)))),
            Self::RemoveQuarantined { responder, .. } => drop(responder.send(Err(share(error)))),
            Self::Maintain { responder, .. } => drop(responder.send(Err(share(error)))),
            Self::Flush { responder } | Self::Close { responder } => {
                drop(responder.send(Err(share(error))));
            }
            Self::Observer(call) => call.run(Err(share(error))),
        }
    }
}

/// A function to call with the observer, under the store lock and with all lines synced; or with the
/// reason why that was not possible. It sends its own response.
pub(crate) struct ObserverCall(Box<ObserverFn>);

type AnyObserver = dyn LogObserver + 'static;
type ObserverFn = dyn FnOnce(Result<&mut AnyObserver, StorageError>) + Send;

impl ObserverCall {
    pub(super) fn run(self, observer: Result<&mut AnyObserver, StorageError>) {
        (self.0)(observer);
    }
}

impl fmt::Debug for ObserverCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserverCall").finish_non_exhaustive()
    }
}
