//! Entries, times and results between Python and Rust.

use attestry::{AuditEntry, EntryId, Timestamp};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyType};

use crate::json;

/// The result of a call, before it is a value of Python.
pub(crate) enum Reply {
    None,
    Bool(bool),
    Count(u64),
    Id(EntryId),
    Entry(Option<Box<AuditEntry>>),
    Entries(Vec<AuditEntry>),
    /// Anything else, made when the thread is attached to the interpreter.
    Made(Make),
}

type Make = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

impl Reply {
    pub(crate) fn made(
        make: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        Self::Made(Box::new(make))
    }

    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Self::None | Self::Entry(None) => py.None(),
            Self::Bool(value) => value.into_pyobject(py)?.to_owned().into_any().unbind(),
            Self::Count(value) => value.into_pyobject(py)?.into_any().unbind(),
            Self::Id(id) => PyString::new(py, id.as_str()).into_any().unbind(),
            Self::Entry(Some(entry)) => entry_to_python(py, *entry)?,
            Self::Entries(entries) => entries_to_python(py, entries)?.into_any().unbind(),
            Self::Made(make) => make(py)?,
        })
    }
}

/// The class of entries, `attestry._entry.AuditEntry`.
fn entry_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "attestry._entry", "AuditEntry")
}

/// `object.__new__`, which makes an entry without the cost of its `__init__`.
fn new_object(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static NEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let new = NEW.get_or_try_init(py, || {
        let object = py.import("builtins")?.getattr("object")?;
        Ok::<_, PyErr>(object.getattr("__new__")?.unbind())
    })?;
    Ok(new.bind(py))
}

pub(crate) fn entries_to_python(
    py: Python<'_>,
    entries: Vec<AuditEntry>,
) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for entry in entries {
        list.append(entry_to_python(py, entry)?)?;
    }
    Ok(list)
}

/// An instance of the package's dataclass.
pub(crate) fn entry_to_python(py: Python<'_>, entry: AuditEntry) -> PyResult<Py<PyAny>> {
    let fields = PyDict::new(py);
    macro_rules! set {
        ($($field:ident = $value:expr;)*) => {
            $(fields.set_item(intern!(py, stringify!($field)), $value)?;)*
        };
    }
    set! {
        id = entry.id.as_str();
        timestamp = entry.timestamp.to_string();
        input_hash = entry.input_hash;
        output_hash = entry.output_hash;
        input_content = entry.input_content;
        output_content = entry.output_content;
        provider = entry.provider;
        model = entry.model;
        conversation_id = entry.conversation_id;
        safety_passed = entry.safety_passed;
        detectors_triggered = entry.detectors_triggered;
        block_reason = entry.block_reason;
        alerts = entry.alerts;
        latency_ms = entry.latency_ms;
        input_tokens = entry.input_tokens;
        output_tokens = entry.output_tokens;
        metadata = json::dict(py, &entry.metadata)?;
    }
    let object = new_object(py)?.call1((entry_class(py)?,))?;
    object.setattr(intern!(py, "__dict__"), fields)?;
    Ok(object.unbind())
}

/// The entry in the attributes of any object that has them, such as the dataclass of `rotalabs-comply`.
pub(crate) fn entry_from_python(entry: &Bound<'_, PyAny>) -> PyResult<AuditEntry> {
    let py = entry.py();
    macro_rules! get {
        ($field:ident) => {
            entry
                .getattr(intern!(py, stringify!($field)))?
                .extract()
                .map_err(|error| named(py, stringify!($field), error))?
        };
    }
    let id: String = get!(id);
    let timestamp: String = get!(timestamp);
    let metadata = entry.getattr(intern!(py, "metadata"))?;
    let metadata = metadata.cast::<PyDict>().map_err(PyErr::from)?;
    Ok(AuditEntry {
        input_content: get!(input_content),
        output_content: get!(output_content),
        provider: get!(provider),
        model: get!(model),
        conversation_id: get!(conversation_id),
        safety_passed: get!(safety_passed),
        detectors_triggered: get!(detectors_triggered),
        block_reason: get!(block_reason),
        alerts: get!(alerts),
        latency_ms: get!(latency_ms),
        input_tokens: get!(input_tokens),
        output_tokens: get!(output_tokens),
        metadata: json::object(metadata)?,
        ..AuditEntry::new(
            EntryId::new_unchecked(&id),
            parse_timestamp(&timestamp)?,
            get!(input_hash),
            get!(output_hash),
        )
    })
}

/// The same error, which names the field.
fn named(py: Python<'_>, field: &str, error: PyErr) -> PyErr {
    let text = format!("{field}: {}", error.value(py));
    match error.get_type(py).call1((text,)) {
        Ok(error) => PyErr::from_value(error),
        Err(_) => error,
    }
}

pub(crate) fn parse_timestamp(text: &str) -> PyResult<Timestamp> {
    text.parse().map_err(|error| PyValueError::new_err(format!("{error}")))
}

/// The time of a `datetime`, in UTC if it has no time zone; or of a text in ISO format.
pub(crate) fn timestamp(time: &Bound<'_, PyAny>) -> PyResult<Timestamp> {
    if let Ok(text) = time.cast::<PyString>() {
        return parse_timestamp(text.to_str()?);
    }
    let text = time.call_method0(intern!(time.py(), "isoformat"))?;
    parse_timestamp(text.cast::<PyString>().map_err(PyErr::from)?.to_str()?)
}
