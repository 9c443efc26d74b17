//! A scan that owns its backend.

use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use attestry_core::{EntryStream, Query, StorageBackend};
use futures_util::{FutureExt, StreamExt, stream};

/// [`StorageBackend::scan`] as a stream that keeps the backend alive, so that a response body or a
/// task can own it.
///
/// The backend's stream borrows from the backend. An `async` block may hold both; a struct may not
/// without `unsafe`. The block hands over one result at a time: it puts the result into `slot` and
/// yields.
pub(crate) fn owned(backend: Arc<dyn StorageBackend>, query: Query) -> EntryStream<'static> {
    let slot = Arc::new(Mutex::new(None));
    let filled = Arc::clone(&slot);
    let scan = async move {
        let mut found = backend.scan(query);
        while let Some(result) = found.next().await {
            *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            let mut yielded = false;
            poll_fn(|_| match mem::replace(&mut yielded, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
        }
    };
    let mut scan = Box::pin(scan);
    let mut ended = false;
    Box::pin(stream::poll_fn(move |context| {
        ended = ended || scan.poll_unpin(context).is_ready();
        match slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(result) => Poll::Ready(Some(result)),
            None if ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }))
}
