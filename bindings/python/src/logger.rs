//! The logger behind both classes `AuditLogger` of the package.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use attestry::evidence::{EvidenceExt, SignedCheckpoint};
use attestry::{AuditLogger, DeleteMode, EntryId};
use attestry_genai::UnmappedTexts;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tokio::sync::OnceCell;

use crate::bridge::{Bridge, Place, Work, run};
use crate::call::Call;
use crate::convert::{self, Reply};
use crate::crypto::EncryptionManager;
use crate::evidence;
use crate::exchange::{self, Request};
use crate::failure::Failure;
use crate::import::{Import, Record};
use crate::interaction::{Fields, interaction};
use crate::json;
use crate::process::{self, Closable};
use crate::query::{self, Scan};
use crate::storage::{OpenedStore, Storage, StoreCell};

/// A store and a policy of recording.
#[pyclass(frozen)]
pub(crate) struct Logger {
    store: Arc<StoreCell>,
    policy: Policy,
    current: Mutex<Option<Arc<Opened>>>,
}

#[derive(Debug, Clone)]
struct Policy {
    encryption: Option<attestry::crypto::EncryptionManager>,
    store_content: bool,
    retention_days: u32,
    allow_large_cleanup: bool,
}

impl Policy {
    /// What becomes of texts of other formats that have no field.
    fn unmapped_texts(&self) -> UnmappedTexts {
        if self.store_content && self.encryption.is_none() {
            UnmappedTexts::Keep
        } else {
            UnmappedTexts::Hash
        }
    }
}

/// A logger on a store that is opened in one process.
#[derive(Debug)]
pub(crate) struct Opened {
    process: u32,
    store: Arc<OpenedStore>,
    policy: Policy,
    logger: OnceCell<AuditLogger>,
}

impl Closable for Opened {
    fn ready(&self) -> Option<AuditLogger> {
        self.logger.get().cloned()
    }
}

impl Opened {
    pub(crate) async fn open(&self) -> Result<AuditLogger, Failure> {
        let opened = self.logger.get_or_try_init(|| async {
            let storage = Arc::clone(self.store.open().await?.storage());
            let Policy { encryption, store_content, retention_days, allow_large_cleanup } =
                self.policy.clone();
            let mut builder = AuditLogger::builder(storage)
                .store_content(store_content)
                .retention_days(retention_days)
                .allow_large_cleanup(allow_large_cleanup);
            if let Some(encryption) = encryption {
                builder = builder.encryption(encryption);
            }
            Ok::<_, Failure>(builder.build())
        });
        Ok(opened.await?.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            mem::forget(mem::take(&mut self.logger));
        }
    }
}

impl Logger {
    /// The logger of this process.
    fn current(&self, py: Python<'_>) -> PyResult<Arc<Opened>> {
        let process = std::process::id();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = current.as_ref().filter(|opened| opened.process == process) {
            return Ok(Arc::clone(opened));
        }
        let store = self.store.current(py).map_err(|failure| failure.into_error(py))?;
        let policy = self.policy.clone();
        let opened = Arc::new(Opened { process, store, policy, logger: OnceCell::new() });
        let registered = process::register(py, Arc::downgrade(&opened) as _);
        registered.map_err(|failure| failure.into_error(py))?;
        mem::forget(current.replace(Arc::clone(&opened)));
        Ok(opened)
    }

    fn import(&self, py: Python<'_>, format: &str) -> PyResult<Import> {
        let import = Import::new(format, self.policy.unmapped_texts());
        import.map_err(|failure| failure.into_error(py))
    }

    /// Calls `work` with the logger.
    pub(crate) fn run<F>(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        place: Place,
        work: impl FnOnce(AuditLogger) -> F + Send + 'static,
    ) -> PyResult<Py<PyAny>>
    where
        F: Future<Output = Result<Reply, Failure>> + Send + 'static,
    {
        let opened = self.current(py)?;
        match opened.ready() {
            Some(logger) => run(py, bridge, place, Box::pin(work(logger))),
            // Opening reads files.
            None => {
                let work: Work = Box::pin(async move { work(opened.open().await?).await });
                run(py, bridge, Place::Runtime, work)
            }
        }
    }
}

#[pymethods]
impl Logger {
    #[new]
    #[pyo3(signature = (storage, encryption, store_content, retention_days, allow_large_cleanup))]
    fn new(
        storage: &Bound<'_, Storage>,
        encryption: Option<&Bound<'_, EncryptionManager>>,
        store_content: bool,
        retention_days: u32,
        allow_large_cleanup: bool,
    ) -> Self {
        let policy = Policy {
            encryption: encryption.map(|manager| manager.get().manager().clone()),
            store_content,
            retention_days,
            allow_large_cleanup,
        };
        let store = Arc::clone(storage.get().shared());
        Self { store, policy, current: Mutex::default() }
    }

    #[allow(clippy::too_many_arguments)] // Those of `log`.
    fn log(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        input: &str,
        output: &str,
        provider: Option<&str>,
        model: Option<&str>,
        conversation_id: Option<&str>,
        safety_passed: bool,
        detectors_triggered: Option<Vec<String>>,
        block_reason: Option<&str>,
        alerts: Option<Vec<String>>,
        latency_ms: f64,
        input_tokens: Option<i64>,
        output_tokens: Option<i64>,
        metadata: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let interaction = interaction(
            input,
            output,
            provider,
            model,
            conversation_id,
            safety_passed,
            detectors_triggered,
            block_reason,
            alerts,
            latency_ms,
            input_tokens,
            output_tokens,
            metadata,
        )?;
        self.run(py, bridge, Place::Loop, |logger| async move {
            Ok(Reply::Id(logger.log(interaction).await?))
        })
    }

    fn get_entry(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        id: &str,
    ) -> PyResult<Py<PyAny>> {
        let id = EntryId::new_unchecked(id);
        self.run(py, bridge, Place::Runtime, |logger| async move {
            Ok(Reply::Entry(logger.get_entry(id).await?.map(Box::new)))
        })
    }

    fn get_entries(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        start: &Bound<'_, PyAny>,
        end: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let (start, end) = (convert::timestamp(start)?, convert::timestamp(end)?);
        self.run(py, bridge, Place::Runtime, move |logger| async move {
            if start > end {
                return Ok(Reply::Entries(Vec::new()));
            }
            Ok(Reply::Entries(logger.get_entries(start, end).await?))
        })
    }

    fn cleanup_expired(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
    ) -> PyResult<Py<PyAny>> {
        self.run(py, bridge, Place::Runtime, |logger| async move {
            Ok(Reply::Count(logger.cleanup_expired().await?))
        })
    }

    fn count(&self, py: Python<'_>, bridge: Option<&Bound<'_, Bridge>>) -> PyResult<Py<PyAny>> {
        self.run(py, bridge, Place::Runtime, |logger| async move {
            Ok(Reply::Count(logger.count().await?))
        })
    }

    fn delete(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        id: &str,
    ) -> PyResult<Py<PyAny>> {
        let id = EntryId::new_unchecked(id);
        self.run(py, bridge, Place::Runtime, |logger| async move {
            Ok(Reply::Bool(logger.delete(id).await?))
        })
    }

    fn flush(&self, py: Python<'_>, bridge: Option<&Bound<'_, Bridge>>) -> PyResult<Py<PyAny>> {
        self.run(py, bridge, Place::Runtime, |logger| async move {
            logger.flush().await?;
            Ok(Reply::None)
        })
    }

    /// Closes a store that was opened; one that was not stays so.
    fn close(&self, py: Python<'_>, bridge: Option<&Bound<'_, Bridge>>) -> PyResult<Py<PyAny>> {
        let opened = self.current(py)?;
        let work: Work = Box::pin(async move {
            if let Some(logger) = opened.ready() {
                logger.close().await?;
            }
            Ok(Reply::None)
        });
        run(py, bridge, Place::Runtime, work)
    }

    /// Stores the start entry of a call.
    fn start(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        input: &str,
        fields: &Bound<'_, PyDict>,
    ) -> PyResult<Py<PyAny>> {
        let asked = attestry::Interaction::new(input.to_owned(), "");
        let asked = Fields::from_python(fields)?.set(asked);
        self.run(py, bridge, Place::Runtime, |logger| async move {
            let call = logger.start(asked).await?;
            Ok(Reply::made(move |py| Ok(Py::new(py, Call::new(call))?.into_any())))
        })
    }

    /// Stores the start entry of a request, and returns its exchange; `None` if its path is none of an API that calls a
    /// model.
    // Python passes them one by one, and the first two come from the binding itself.
    #[allow(clippy::too_many_arguments)]
    fn start_exchange(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        path: &str,
        host: &str,
        provider: Option<String>,
        source: String,
        body: &[u8],
        metadata: &Bound<'_, PyDict>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let mut metadata = json::object(metadata)?;
        exchange::set_address(host, &mut metadata);
        let texts = self.policy.unmapped_texts();
        let request = Request::new(path, provider, source, body.to_vec(), metadata, texts);
        let Some(request) = request else { return Ok(None) };
        let started = self.run(py, bridge, Place::Runtime, |logger| async move {
            let call = logger.start(request.interaction()).await?;
            Ok(Reply::made(move |py| Ok(Py::new(py, request.started(call))?.into_any())))
        });
        started.map(Some)
    }

    /// Stores the calls in records of another format, each with the id of its start entry if it has one; returns how
    /// many were stored, and how many were there already. Raises `InvalidEntryError` after that, if some records cannot
    /// be read or stored.
    fn import_records(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        format: &str,
        records: Vec<Record>,
    ) -> PyResult<Py<PyAny>> {
        let import = self.import(py, format)?;
        self.run(py, bridge, Place::Runtime, |logger| async move {
            let counts = import.store(&logger, records).await?;
            Ok(Reply::made(move |py| Ok(counts.into_pyobject(py)?.into_any().unbind())))
        })
    }

    /// Stores the start entry of the call in a record of another format, and returns its id; `None` if no call is in it.
    fn start_record(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        format: &str,
        record: Vec<u8>,
    ) -> PyResult<Py<PyAny>> {
        let import = self.import(py, format)?;
        self.run(py, bridge, Place::Runtime, |logger| async move {
            Ok(import.start(&logger, &record).await?.map_or(Reply::None, Reply::Id))
        })
    }

    /// The metrics as JSON; `None` before the store has been opened.
    fn metrics(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let Some(logger) = self.current(py)?.ready() else { return Ok(None) };
        let text = serde_json::to_string(&logger.metrics());
        text.map(Some).map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// The entries that the conditions select.
    fn query(&self, py: Python<'_>, conditions: &Bound<'_, PyDict>) -> PyResult<Scan> {
        Ok(Scan::new(self.current(py)?, query::parse(conditions)?))
    }

    /// The number of deleted entries, and the exceptions of records that cannot be read.
    fn delete_matching(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        conditions: &Bound<'_, PyDict>,
        dry_run: bool,
    ) -> PyResult<Py<PyAny>> {
        let query = query::parse(conditions)?;
        let mode = if dry_run { DeleteMode::DryRun } else { DeleteMode::Delete };
        self.run(py, bridge, Place::Runtime, move |logger| async move {
            let deletion = logger.delete_matching(query, mode, |_| ()).await?;
            Ok(Reply::made(move |py| {
                let unreadable = deletion.unreadable.into_iter().map(|record| {
                    let error = attestry::StorageError::Corrupt(record);
                    Failure::from(error).into_error(py).into_value(py)
                });
                let unreadable: Vec<_> = unreadable.collect();
                Ok((deletion.entries, unreadable).into_pyobject(py)?.into_any().unbind())
            }))
        })
    }

    /// Signs a checkpoint and returns its text.
    fn checkpoint(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
    ) -> PyResult<Py<PyAny>> {
        self.run(py, bridge, Place::Runtime, |logger| async move {
            let checkpoint = logger.evidence()?.checkpoint().await?;
            Ok(text(checkpoint))
        })
    }

    /// The text of the newest checkpoint, or `None`.
    fn latest_checkpoint(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
    ) -> PyResult<Py<PyAny>> {
        self.run(py, bridge, Place::Runtime, |logger| async move {
            let checkpoint = logger.evidence()?.latest_checkpoint().await?;
            Ok(checkpoint.map_or(Reply::None, text))
        })
    }

    /// The line of an entry and the proof that it is in the log, or `None`.
    fn prove(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        id: &str,
    ) -> PyResult<Py<PyAny>> {
        let id = EntryId::new_unchecked(id);
        self.run(py, bridge, Place::Runtime, |logger| async move {
            let found = logger.evidence()?.inclusion_proof(&id).await?;
            let Some(found) = found else { return Ok(Reply::None) };
            Ok(Reply::made(move |py| {
                let line = PyBytes::new(py, &found.line);
                let proof = found.proof.to_string();
                Ok((line, proof).into_pyobject(py)?.into_any().unbind())
            }))
        })
    }

    /// Compares every line with the evidence; returns what was found.
    fn verify(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        public_key: Option<&str>,
        against: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let options = evidence::verify_options(public_key, against)?;
        self.run(py, bridge, Place::Runtime, |logger| async move {
            let report = evidence::report(&logger.evidence()?.verify(options).await?);
            Ok(Reply::made(move |py| json::to_python(py, &report)))
        })
    }
}

fn text(checkpoint: SignedCheckpoint) -> Reply {
    let text = String::from(checkpoint);
    Reply::made(move |py| Ok(text.into_pyobject(py)?.into_any().unbind()))
}
