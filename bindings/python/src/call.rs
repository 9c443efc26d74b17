//! A call that has started and not ended.

use std::mem;
use std::sync::{Mutex, PoisonError};

use attestry::{AuditError, EntryId};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bridge::{Bridge, Place, run};
use crate::convert::Reply;
use crate::failure::Failure;
use crate::interaction::Fields;

/// A call that has started; dropping it stores its end entry.
#[pyclass(frozen)]
pub(crate) struct Call {
    process: u32,
    id: Option<String>,
    /// `None` once it has ended.
    call: Mutex<Option<attestry::Call>>,
}

impl Drop for Call {
    /// A child of the process that started it ends nothing: the call goes on in its parent.
    fn drop(&mut self) {
        if self.process != std::process::id() {
            let call = self.call.get_mut().unwrap_or_else(PoisonError::into_inner);
            mem::forget(call.take());
        }
    }
}

impl Call {
    pub(crate) fn new(call: attestry::Call) -> Self {
        let id = call.id().map(|id| id.as_str().to_owned());
        Self { process: std::process::id(), id, call: Mutex::new(Some(call)) }
    }

    fn with<T>(&self, with: impl FnOnce(&mut attestry::Call) -> T) -> PyResult<T> {
        self.refuse_fork()?;
        let mut call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        call.as_mut().map(with).ok_or_else(ended)
    }

    fn refuse_fork(&self) -> PyResult<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err("the call was started by the parent of this process"))
    }

    fn end<F>(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        end: impl FnOnce(attestry::Call) -> F,
    ) -> PyResult<Py<PyAny>>
    where
        F: Future<Output = Result<EntryId, AuditError>> + Send + 'static,
    {
        self.refuse_fork()?;
        let call = self.call.lock().unwrap_or_else(PoisonError::into_inner).take();
        let end = end(call.ok_or_else(ended)?);
        let work = async move { Ok::<_, Failure>(Reply::Id(end.await?)) };
        run(py, bridge, Place::Loop, Box::pin(work))
    }
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("the call has ended")
}

#[pymethods]
impl Call {
    /// The id of the start entry.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    #[getter]
    fn has_ended(&self) -> bool {
        self.call.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn push(&self, text: &str) -> PyResult<()> {
        self.with(|call| call.push(text))
    }

    fn set(&self, fields: &Bound<'_, PyDict>) -> PyResult<()> {
        // Before the lock: another thread that waits for it holds the interpreter.
        let fields = Fields::from_python(fields)?;
        self.with(|call| call.set(|interaction| fields.set(interaction)))
    }

    fn finish(&self, py: Python<'_>, bridge: Option<&Bound<'_, Bridge>>) -> PyResult<Py<PyAny>> {
        self.end(py, bridge, attestry::Call::finish)
    }

    fn fail(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        error_type: String,
    ) -> PyResult<Py<PyAny>> {
        self.end(py, bridge, |call| call.fail(error_type))
    }

    fn cut_off(&self, py: Python<'_>, bridge: Option<&Bound<'_, Bridge>>) -> PyResult<Py<PyAny>> {
        self.end(py, bridge, attestry::Call::cut_off)
    }
}
