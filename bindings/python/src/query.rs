//! Queries and their results, read in chunks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use attestry::{AuditLogger, EntryStream, Order, Query, StorageError};
use futures_util::StreamExt;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tokio::sync::Mutex;

use crate::bridge::{Bridge, Place, Work, run};
use crate::convert::{self, Reply};
use crate::failure::Failure;
use crate::json;
use crate::logger::Opened;

/// A chunk ends with the entry that is read after this time.
const CHUNK_TIME: Duration = Duration::from_millis(20);

/// Of the first chunk; the size doubles to the last one.
const CHUNK_SIZES: (usize, usize) = (32, 1_024);

/// The query of these conditions. Of an unknown name, `TypeError`.
pub(crate) fn parse(conditions: &Bound<'_, PyDict>) -> PyResult<Query> {
    let mut query = Query::new();
    for (name, value) in conditions {
        if value.is_none() {
            continue;
        }
        let name: String = name.extract()?;
        query = match name.as_str() {
            "since" => query.since(convert::timestamp(&value)?),
            "until" => query.until(convert::timestamp(&value)?),
            "provider" => query.provider(value.extract::<String>()?),
            "model" => query.model(value.extract::<String>()?),
            "conversation_id" => query.conversation_id(value.extract::<String>()?),
            "safety_passed" => query.safety_passed(value.extract::<bool>()?),
            "detector" => query.detector(value.extract::<String>()?),
            "text_contains" => query.text_contains(value.extract::<String>()?),
            "limit" => query.limit(value.extract::<usize>()?),
            "phase" => {
                let text: String = value.extract()?;
                query.phase(text.parse().map_err(|error| invalid(&error))?)
            }
            "after" => {
                let text: String = value.extract()?;
                let cursor: attestry::Cursor = text.parse().map_err(|error| invalid(&error))?;
                query.after(cursor)
            }
            "newest_first" => {
                let newest_first: bool = value.extract()?;
                query.order(if newest_first { Order::Descending } else { Order::Ascending })
            }
            "metadata" => {
                let mut query = query;
                for (key, wanted) in value.cast::<PyDict>().map_err(PyErr::from)? {
                    let key: String = key.extract()?;
                    query = if wanted.is(value.py().Ellipsis()) {
                        query.metadata_exists(key)
                    } else {
                        query.metadata_equals(key, json::from_python(&wanted)?)
                    };
                }
                query
            }
            _ => return Err(PyTypeError::new_err(format!("a query has no condition {name:?}"))),
        };
    }
    Ok(query)
}

fn invalid(error: &dyn std::error::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The entries that a query selects.
#[pyclass(frozen)]
pub(crate) struct Scan {
    opened: Arc<Opened>,
    state: Arc<Mutex<State>>,
}

enum State {
    Waiting(Query),
    Reading(EntryStream<'static>, usize),
    Done,
}

impl Scan {
    pub(crate) fn new(opened: Arc<Opened>, query: Query) -> Self {
        Self { opened, state: Arc::new(Mutex::new(State::Waiting(query))) }
    }
}

#[pymethods]
impl Scan {
    /// The next entries, in a list in which exceptions stand for records that cannot be read. `None` at the end.
    fn next(&self, py: Python<'_>, bridge: Option<&Bound<'_, Bridge>>) -> PyResult<Py<PyAny>> {
        let (opened, state) = (Arc::clone(&self.opened), Arc::clone(&self.state));
        let work: Work = Box::pin(async move {
            let mut state = state.lock().await;
            if let State::Waiting(query) = &*state {
                let logger: AuditLogger = opened.open().await?;
                *state = State::Reading(logger.query(query.clone()), CHUNK_SIZES.0);
            }
            let State::Reading(stream, size) = &mut *state else { return Ok(Reply::None) };
            let (began, most) = (Instant::now(), *size);
            *size = (most * 2).min(CHUNK_SIZES.1);
            let mut found = Vec::new();
            let mut is_done = false;
            while found.len() < most && began.elapsed() < CHUNK_TIME {
                match stream.next().await {
                    Some(item @ (Ok(_) | Err(StorageError::Corrupt(_)))) => found.push(item),
                    Some(Err(error)) => {
                        *state = State::Done;
                        return Err(error.into());
                    }
                    None => {
                        is_done = true;
                        break;
                    }
                }
            }
            if is_done {
                *state = State::Done;
            }
            if found.is_empty() {
                return Ok(Reply::None);
            }
            Ok(Reply::made(move |py| items(py, found)))
        });
        run(py, bridge, Place::Runtime, work)
    }
}

fn items(
    py: Python<'_>,
    found: Vec<Result<attestry::AuditEntry, StorageError>>,
) -> PyResult<Py<PyAny>> {
    let list = PyList::empty(py);
    for item in found {
        match item {
            Ok(entry) => list.append(convert::entry_to_python(py, entry)?)?,
            Err(error) => list.append(Failure::from(error).into_error(py).into_value(py))?,
        }
    }
    Ok(list.into_any().unbind())
}
