//! A store: opened at the first call in each process.

use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use attestry::{AuditLogger, EntryId, StorageBackend};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use tokio::sync::OnceCell;

use crate::bridge::{Bridge, Place, Work, run};
use crate::convert::{self, Reply};
use crate::failure::Failure;
use crate::options::{Location, SecretText, StoreOptions};
use crate::process::{self, Closable};

/// A store and its settings.
#[pyclass(frozen)]
pub(crate) struct Storage {
    shared: Arc<StoreCell>,
}

/// The store, as it is open in this process.
#[derive(Debug)]
pub(crate) struct StoreCell {
    options: StoreOptions,
    current: Mutex<Option<Arc<OpenedStore>>>,
}

/// A store that is opened in one process.
#[derive(Debug)]
pub(crate) struct OpenedStore {
    process: u32,
    options: StoreOptions,
    /// A logger of default settings; the loggers of users share its storage.
    logger: OnceCell<AuditLogger>,
}

impl OpenedStore {
    pub(crate) async fn open(&self) -> Result<&AuditLogger, Failure> {
        self.logger.get_or_try_init(|| self.options.open()).await
    }
}

impl Closable for OpenedStore {
    fn ready(&self) -> Option<AuditLogger> {
        self.logger.get().cloned()
    }
}

impl Drop for OpenedStore {
    /// In a child of the process that opened it, nothing is closed: its threads are not there.
    fn drop(&mut self) {
        if self.process != std::process::id() {
            mem::forget(mem::take(&mut self.logger));
        }
    }
}

impl StoreCell {
    /// The store of this process. A store of files is opened again after a fork.
    pub(crate) fn current(&self, attached: Python<'_>) -> Result<Arc<OpenedStore>, Failure> {
        let process = std::process::id();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(opened) if opened.process == process => return Ok(Arc::clone(opened)),
            Some(_) if self.options.is_memory() => {
                return Err(Failure::Python(PyRuntimeError::new_err(
                    "a store in memory cannot be used after a fork; open one in the child process",
                )));
            }
            _ => {}
        }
        let opened =
            OpenedStore { process, options: self.options.clone(), logger: OnceCell::new() };
        let opened = Arc::new(opened);
        process::register(attached, Arc::downgrade(&opened) as _)?;
        mem::forget(current.replace(Arc::clone(&opened)));
        Ok(opened)
    }
}

impl Storage {
    pub(crate) fn shared(&self) -> &Arc<StoreCell> {
        &self.shared
    }

    /// Calls `work` with the storage.
    fn run<F>(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        work: impl FnOnce(Arc<dyn StorageBackend>) -> F + Send + 'static,
    ) -> PyResult<Py<PyAny>>
    where
        F: Future<Output = Result<Reply, Failure>> + Send + 'static,
    {
        let opened = self.shared.current(py).map_err(|failure| failure.into_error(py))?;
        let work: Work = Box::pin(async move {
            let storage = Arc::clone(opened.open().await?.storage());
            work(storage).await
        });
        run(py, bridge, Place::Runtime, work)
    }
}

#[pymethods]
impl Storage {
    #[new]
    #[pyo3(signature = (
        *, path=None, url=None, rotation_size_mb=None, buffered=false, indexed_metadata_keys=None,
        read_only=false, signing_key=None, checkpoint_seconds=None, adopt_existing=false
    ))]
    #[allow(clippy::too_many_arguments)] // They are named.
    fn new(
        path: Option<PathBuf>,
        url: Option<String>,
        rotation_size_mb: Option<u64>,
        buffered: bool,
        indexed_metadata_keys: Option<Vec<String>>,
        read_only: bool,
        signing_key: Option<String>,
        checkpoint_seconds: Option<f64>,
        adopt_existing: bool,
    ) -> PyResult<Self> {
        let location = match (path, url) {
            (Some(path), None) => Location::Folder(path),
            (None, Some(url)) => Location::Url(url),
            _ => return Err(PyValueError::new_err("pass either a path or a URL")),
        };
        let options = StoreOptions {
            location,
            rotation_size_mb,
            buffered,
            indexed_metadata_keys,
            read_only,
            signing_key: signing_key.map(SecretText),
            checkpoint_seconds,
            adopt_existing,
        };
        Ok(Self { shared: Arc::new(StoreCell { options, current: Mutex::default() }) })
    }

    fn write(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        entry: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let entry = convert::entry_from_python(entry)?;
        self.run(py, bridge, |storage| async move { Ok(Reply::Id(storage.write(&entry).await?)) })
    }

    fn read(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        id: &str,
    ) -> PyResult<Py<PyAny>> {
        let id = EntryId::new_unchecked(id);
        self.run(py, bridge, |storage| async move {
            Ok(Reply::Entry(storage.read(&id).await?.map(Box::new)))
        })
    }

    fn list_entries(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        start: &Bound<'_, PyAny>,
        end: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let (start, end) = (convert::timestamp(start)?, convert::timestamp(end)?);
        self.run(py, bridge, move |storage| async move {
            if start > end {
                return Ok(Reply::Entries(Vec::new()));
            }
            Ok(Reply::Entries(storage.list_entries(start, end).await?))
        })
    }

    fn delete(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        id: &str,
    ) -> PyResult<Py<PyAny>> {
        let id = EntryId::new_unchecked(id);
        self.run(py, bridge, |storage| async move { Ok(Reply::Bool(storage.delete(&id).await?)) })
    }

    fn count(&self, py: Python<'_>, bridge: Option<&Bound<'_, Bridge>>) -> PyResult<Py<PyAny>> {
        self.run(py, bridge, |storage| async move { Ok(Reply::Count(storage.count().await?)) })
    }
}
