//! A call that is recorded from the request and the response of an HTTP API.

use std::mem;
use std::sync::{Mutex, PoisonError};

use attestry::{Interaction, metadata};
use attestry_genai::{Api, CallRecord, UnmappedTexts, messages_from_json};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use serde_json::{Map, Value};

use crate::bridge::{Bridge, Place, run};
use crate::convert::Reply;
use crate::failure::Failure;

/// A request that was sent, whose start is recorded. Dropping it stores its end entry.
#[pyclass(frozen)]
pub(crate) struct Exchange {
    process: u32,
    /// `None` once it has ended.
    open: Mutex<Option<Open>>,
}

/// What is known of a request before it is sent.
pub(crate) struct Request {
    api: Api,
    provider: Option<String>,
    source: String,
    body: Vec<u8>,
    /// Of the user, beside what the request says.
    metadata: Map<String, Value>,
    texts: UnmappedTexts,
}

struct Open {
    call: attestry::Call,
    exchange: attestry_genai::Exchange,
    metadata: Map<String, Value>,
    texts: UnmappedTexts,
}

impl Request {
    /// `None` if the path is none of an API that calls a model.
    pub(crate) fn new(
        path: &str,
        provider: Option<String>,
        source: String,
        body: Vec<u8>,
        metadata: Map<String, Value>,
        texts: UnmappedTexts,
    ) -> Option<Self> {
        let api = Api::from_path(path)?;
        Some(Self { api, provider, source, body, metadata, texts })
    }

    fn exchange(&self) -> attestry_genai::Exchange {
        let mut exchange = attestry_genai::Exchange::new(self.api).source(&self.source);
        if let Some(provider) = &self.provider {
            exchange = exchange.provider(provider);
        }
        exchange.request(&self.body);
        exchange
    }

    /// What the start entry records.
    pub(crate) fn interaction(&self) -> Interaction<'static> {
        let asked = self.exchange().finish();
        with_metadata(asked.into_interaction(self.texts), &self.metadata)
    }

    pub(crate) fn started(self, call: attestry::Call) -> Exchange {
        let exchange = self.exchange();
        let open = Open { call, exchange, metadata: self.metadata, texts: self.texts };
        Exchange { process: std::process::id(), open: Mutex::new(Some(open)) }
    }
}

fn with_metadata(
    interaction: Interaction<'static>,
    metadata: &Map<String, Value>,
) -> Interaction<'static> {
    let interaction = interaction.id(None);
    metadata.iter().fold(interaction, |interaction, (key, value)| {
        interaction.metadata(key.as_str(), value.clone())
    })
}

impl Open {
    /// The call, with all that the exchange has.
    fn into_call(self) -> attestry::Call {
        let Self { mut call, exchange, metadata, texts } = self;
        let record: CallRecord = exchange.finish();
        let interaction = with_metadata(record.into_interaction(texts), &metadata);
        let output = interaction.output().to_owned();
        let messages = serde_json::from_str(&output).ok().and_then(messages_from_json);
        call.set(|_| interaction);
        match messages {
            Some(messages) => {
                for part in messages.0.iter().flat_map(|message| &message.parts) {
                    call.push_part(part);
                }
            }
            None => call.push(&output),
        }
        call
    }
}

impl Drop for Exchange {
    /// Records what was received. A child of the process that began it records nothing.
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        match open {
            Some(open) if self.process == std::process::id() => drop(open.into_call()),
            other => mem::forget(other),
        }
    }
}

impl Exchange {
    fn with<T>(&self, with: impl FnOnce(&mut Open) -> T) -> PyResult<T> {
        if self.process != std::process::id() {
            let message = "the request was sent by the parent of this process";
            return Err(PyRuntimeError::new_err(message));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_mut().map(with).ok_or_else(|| PyRuntimeError::new_err("the call has ended"))
    }
}

#[pymethods]
impl Exchange {
    /// The status of the response.
    fn status(&self, status: u16) -> PyResult<()> {
        self.with(|open| open.exchange.status(status))
    }

    /// The body of a response that is not streamed.
    fn response(&self, py: Python<'_>, body: &[u8]) -> PyResult<()> {
        py.detach(|| self.with(|open| open.exchange.response(body)))
    }

    /// The next bytes of a response that is streamed.
    fn push(&self, bytes: &[u8]) -> PyResult<()> {
        self.with(|open| open.exchange.push(bytes))
    }

    /// Stores the end entry: with the outcome that the response shows, or failed with this error.
    #[pyo3(signature = (bridge, error=None, cut_off=false))]
    fn end(
        &self,
        py: Python<'_>,
        bridge: Option<&Bound<'_, Bridge>>,
        error: Option<String>,
        cut_off: bool,
    ) -> PyResult<Py<PyAny>> {
        self.with(|_| ())?;
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(open) = open else {
            return Err(PyRuntimeError::new_err("the call has ended"));
        };
        let work = async move {
            let call = open.into_call();
            let id = match error {
                Some(error) => call.fail(error).await?,
                None if cut_off => call.cut_off().await?,
                None => call.finish().await?,
            };
            Ok::<_, Failure>(Reply::Id(id))
        };
        run(py, bridge, Place::Runtime, Box::pin(work))
    }
}

/// The metadata of the address that a request is sent to.
pub(crate) fn set_address(host: &str, fields: &mut Map<String, Value>) {
    fields.entry(metadata::SERVER_ADDRESS).or_insert_with(|| host.into());
}
