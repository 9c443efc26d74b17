//! Entries as a stream of lines.

use std::sync::Arc;

use attestry::{AuditEntry, ErrorChain, Query, StorageError, line};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::json;

use super::content::Shown;
use super::csv;
use crate::access_log::LongAccess;
use crate::http::problem::Problem;
use crate::state::AppState;

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON, as it would be stored.
    Json,
    Csv,
}

impl Form {
    fn entry(self, entry: &AuditEntry) -> Result<Vec<u8>, Problem> {
        match self {
            Self::Json => {
                let mut line = encoded(entry)?;
                line.push(b'\n');
                Ok(line)
            }
            Self::Csv => Ok(csv::entry(entry)),
        }
    }

    /// The line in place of an entry that cannot be read: in JSON `{"unreadable": "…"}`.
    fn unreadable(self, reason: &str) -> Vec<u8> {
        match self {
            Self::Json => {
                let mut line = json!({ "unreadable": reason }).to_string().into_bytes();
                line.push(b'\n');
                line
            }
            Self::Csv => csv::unreadable(reason),
        }
    }
}

/// The entries, one a line. A record that cannot be read has a line that says so; any other failure cuts the
/// response, so that the client sees that it is incomplete.
pub(crate) fn lines(
    state: Arc<AppState>,
    query: Query,
    shown: Shown,
    form: Form,
    access: LongAccess,
) -> impl Stream<Item = Result<Bytes, Problem>> + Send {
    let found = state.logger.query(query);
    stream::unfold(Some((state, found, access, 0)), move |lines| async move {
        let (state, mut found, mut access, mut count) = lines?;
        let line = match found.next().await {
            Some(Ok(entry)) => {
                count += 1;
                let id = entry.id.clone();
                match shown.apply(&state.logger, entry) {
                    Ok(entry) => form.entry(&entry),
                    Err(error) => Ok(form.unreadable(&format!("{id}: {}", ErrorChain(&error)))),
                }
            }
            Some(Err(StorageError::Corrupt(record))) => Ok(form.unreadable(&record.to_string())),
            Some(Err(error)) => Err(Problem::from(error)),
            None => return access.finish().await.err().map(|problem| (Err(problem), None)),
        };
        access.set_count(count);
        match line {
            Ok(line) => Some((Ok(line.into()), Some((state, found, access, count)))),
            Err(problem) => Some((Err(problem), None)),
        }
    })
}

/// The entry as it would be stored, without a line break.
pub(crate) fn encoded(entry: &AuditEntry) -> Result<Vec<u8>, Problem> {
    let mut line = line::encode(entry).map_err(StorageError::from)?;
    line.pop();
    Ok(line)
}
