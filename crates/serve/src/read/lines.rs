//! Entries as lines of JSON.

use std::sync::Arc;

use attestry::{AuditEntry, ErrorChain, Query, StorageError, line};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde_json::json;

use super::content::Shown;
use crate::access_log::LongAccess;
use crate::http::problem::Problem;
use crate::state::AppState;

/// The entries, one a line. A record that cannot be read is the line `{"unreadable": "…"}`; any other
/// failure cuts the response, so that the client sees that it is incomplete.
pub(crate) fn lines(
    state: Arc<AppState>,
    query: Query,
    shown: Shown,
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
                    Ok(entry) => encoded(&entry),
                    Err(error) => Ok(unreadable(&format!("{id}: {}", ErrorChain(&error)))),
                }
            }
            Some(Err(StorageError::Corrupt(record))) => Ok(unreadable(&record.to_string())),
            Some(Err(error)) => Err(Problem::from(error)),
            None => return access.finish().await.err().map(|problem| (Err(problem), None)),
        };
        access.set_count(count);
        match line {
            Ok(mut line) => {
                line.push(b'\n');
                Some((Ok(line.into()), Some((state, found, access, count))))
            }
            Err(problem) => Some((Err(problem), None)),
        }
    })
}

fn unreadable(reason: &str) -> Vec<u8> {
    json!({ "unreadable": reason }).to_string().into_bytes()
}

/// The entry as it would be stored, without a line break.
pub(crate) fn encoded(entry: &AuditEntry) -> Result<Vec<u8>, Problem> {
    let mut line = line::encode(entry).map_err(StorageError::from)?;
    line.pop();
    Ok(line)
}
