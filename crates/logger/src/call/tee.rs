//! A stream that records what passes through it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use attestry_core::EntryId;
use futures_util::{Stream, StreamExt};

use super::Call;
use crate::AuditError;

/// A stream of items that are also recorded; returned by [`Call::tee`].
pub struct Tee<S, F, E> {
    stream: Pin<Box<S>>,
    record: F,
    state: State<E>,
}

enum State<E> {
    Streaming(Call),
    /// The end entry is being stored; then the stream ends, with this error if any.
    Ending(Pin<Box<dyn Future<Output = Result<EntryId, AuditError>> + Send>>, Option<E>),
    Ended,
}

impl Call {
    /// Passes the items of `stream` on, calls `record` with each, and ends the call with the stream.
    ///
    /// When the stream ends, the call is [finished](Self::finish); the returned stream ends after the
    /// end entry is stored. When the stream yields an error, the call is [cut off](Self::cut_off), and
    /// the error is passed on after that as the last item. If the end entry cannot be stored, the last
    /// item is that error. If the returned stream is dropped before its end, for instance because a
    /// client disconnects, the call is dropped too and recorded as abandoned.
    ///
    /// ```
    /// use std::io;
    /// use attestry_logger::{AuditError, AuditLogger, Interaction};
    /// use attestry_memory::MemoryStorage;
    /// use futures_util::{TryStreamExt, stream};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let logger = AuditLogger::builder(MemoryStorage::new()).build();
    /// let call = logger.start(Interaction::new("What is 2+2?", "")).await?;
    /// let tokens = stream::iter(["The answer", " is 4."].map(Ok::<_, AuditError>));
    /// let response = call.tee(tokens, |call, token| call.push(token));
    /// assert_eq!(response.try_collect::<String>().await?, "The answer is 4.");
    /// # assert_eq!(logger.count().await?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tee<S, F, T, E>(self, stream: S, record: F) -> Tee<S, F, E>
    where
        S: Stream<Item = Result<T, E>>,
        F: FnMut(&mut Self, &T),
        E: From<AuditError>,
    {
        Tee { stream: Box::pin(stream), record, state: State::Streaming(self) }
    }
}

impl<S, F, T, E> Stream for Tee<S, F, E>
where
    S: Stream<Item = Result<T, E>>,
    F: FnMut(&mut Call, &T) + Unpin,
    E: From<AuditError> + Unpin,
{
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let State::Streaming(call) = &mut this.state {
            let error = match ready!(this.stream.poll_next_unpin(context)) {
                Some(Ok(item)) => {
                    (this.record)(call, &item);
                    return Poll::Ready(Some(Ok(item)));
                }
                Some(Err(error)) => Some(error),
                None => None,
            };
            let State::Streaming(call) = std::mem::replace(&mut this.state, State::Ended) else {
                unreachable!("matched above")
            };
            this.state = match error {
                Some(error) => State::Ending(Box::pin(call.cut_off()), Some(error)),
                None => State::Ending(Box::pin(call.finish()), None),
            };
        }
        let State::Ending(end, error) = &mut this.state else { return Poll::Ready(None) };
        let stored = ready!(end.as_mut().poll(context));
        let error = error.take().or_else(|| stored.err().map(E::from));
        this.state = State::Ended;
        Poll::Ready(error.map(Err))
    }
}

impl<S, F, E> fmt::Debug for Tee<S, F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match &self.state {
            State::Streaming(call) => Some(call),
            State::Ending(..) | State::Ended => None,
        };
        f.debug_struct("Tee").field("call", &call).finish_non_exhaustive()
    }
}
