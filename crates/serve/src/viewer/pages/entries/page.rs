//! One page of the list, read without keeping content.

use attestry::{AuditEntry, Cursor, Query, StorageError};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::columns::{Column, strip};
use super::selection::Selection;
use crate::http::problem::Problem;
use crate::read::content::Shown;
use crate::state::AppState;

pub(super) const DEFAULT_SIZE: usize = 50;
pub(super) const MAX_SIZE: usize = 200;
/// Records that could not be read, by name; there may be many.
const MAX_NAMED: usize = 20;

/// A page of the list: of each entry what a row shows, without its content.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) rows: Vec<AuditEntry>,
    /// Whether there are entries after and before this page, in its order.
    pub(super) has_next: bool,
    pub(super) has_previous: bool,
    pub(super) unreadable: Vec<String>,
    /// Whether the time was over before the search was.
    pub(super) is_partial: bool,
}

impl Page {
    /// The page that `selection` is at.
    pub(super) async fn read(state: &AppState, selection: &Selection) -> Result<Self, Problem> {
        if let Some(before) = &selection.before {
            // The page before is the next one of the other order.
            let query = selection.reversed().query.after(before.clone());
            let mut page =
                Self::read_query(state, query, &selection.columns, selection.searches_all).await?;
            page.rows.reverse();
            (page.has_previous, page.has_next) = (page.has_next, true);
            return Ok(page);
        }
        let query = selection.query.clone();
        let mut page =
            Self::read_query(state, query, &selection.columns, selection.searches_all).await?;
        page.has_previous = selection.query.after.is_some();
        Ok(page)
    }

    /// The first entries of `query`. Conditions without an index may need a look at every entry: unless all are to be
    /// searched, the page has what is found in time.
    pub(super) async fn read_query(
        state: &AppState,
        query: Query,
        columns: &[Column],
        searches_all: bool,
    ) -> Result<Self, Problem> {
        let size = query.limit.unwrap_or(DEFAULT_SIZE).clamp(1, MAX_SIZE);
        query.validate().map_err(StorageError::from)?;
        let mut page = Self::default();
        let mut found = state.logger.query(query.limit(size + 1));
        let deadline = Instant::now() + state.limits().search;
        loop {
            let next = if searches_all {
                Some(found.next().await)
            } else if Instant::now() >= deadline {
                // What is found without waiting takes time, too.
                None
            } else {
                timeout_at(deadline, found.next()).await.ok()
            };
            let Some(next) = next else {
                (page.is_partial, page.has_next) = (true, !page.rows.is_empty());
                break;
            };
            let Some(entry) = next else { break };
            match entry {
                Ok(_) if page.rows.len() == size => {
                    page.has_next = true;
                    break;
                }
                Ok(entry) => {
                    let mut entry = Shown::Hidden.apply(&state.logger, entry)?;
                    strip(&mut entry, columns);
                    page.rows.push(entry);
                }
                Err(StorageError::Corrupt(record)) if page.unreadable.len() < MAX_NAMED => {
                    page.unreadable.push(record.to_string());
                }
                Err(StorageError::Corrupt(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(page)
    }

    pub(super) fn first(&self) -> Option<String> {
        self.rows.first().map(|entry| Cursor::from(entry).to_string())
    }

    pub(super) fn last(&self) -> Option<String> {
        self.rows.last().map(|entry| Cursor::from(entry).to_string())
    }
}
