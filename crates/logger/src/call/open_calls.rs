//! Calls without an end.

use std::time::Duration;

use attestry_core::{EntryStream, Phase, Query, Timestamp};

use crate::AuditLogger;

impl AuditLogger {
    /// Streams the start entries of calls that have no end entry and started at least `grace` ago, oldest
    /// first: calls whose process was killed or exited without [`close`](Self::close), and those that
    /// run for longer than `grace`. The end of a call is looked up in the whole store.
    ///
    /// ```
    /// # async fn example(logger: attestry_logger::AuditLogger) -> Result<(), attestry_logger::AuditError> {
    /// use std::time::Duration;
    /// use futures_util::TryStreamExt;
    ///
    /// let mut open = logger.open_calls(Duration::from_secs(3_600));
    /// while let Some(start) = open.try_next().await? {
    ///     println!("{} started at {} and has no end", start.id, start.timestamp);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// Yields errors as [`query`](Self::query) does.
    #[must_use]
    pub fn open_calls(&self, grace: Duration) -> EntryStream<'static> {
        let until = Timestamp::now().saturating_sub(grace);
        self.query(Query::new().phase(Phase::Open).until(until))
    }
}
