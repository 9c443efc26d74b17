//! The parameters of `log` and `start`.

use attestry::{Interaction, Timestamp};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value};

use crate::convert;
use crate::json;

/// The interaction of these parameters.
#[allow(clippy::too_many_arguments)] // Those of `log`.
pub(crate) fn interaction(
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
) -> PyResult<Interaction<'static>> {
    let mut interaction = Interaction::new(input.to_owned(), output.to_owned())
        .provider(provider)
        .model(model)
        .conversation_id(conversation_id)
        .safety_passed(safety_passed)
        .block_reason(block_reason)
        .latency_ms(latency_ms)
        .input_tokens(input_tokens)
        .output_tokens(output_tokens);
    if let Some(names) = detectors_triggered.filter(|names| !names.is_empty()) {
        interaction = interaction.detectors_triggered(names);
    }
    if let Some(alerts) = alerts.filter(|alerts| !alerts.is_empty()) {
        interaction = interaction.alerts(alerts);
    }
    if let Some(metadata) = metadata.filter(|metadata| !metadata.is_empty()) {
        interaction = interaction.metadata_map(json::object(metadata)?);
    }
    Ok(interaction)
}

/// Fields to set, without references to values of Python.
pub(crate) struct Fields(Vec<Field>);

enum Field {
    Provider(Option<String>),
    Model(Option<String>),
    ConversationId(Option<String>),
    SafetyPassed(bool),
    DetectorsTriggered(Vec<String>),
    BlockReason(Option<String>),
    Alerts(Vec<String>),
    LatencyMs(f64),
    InputTokens(Option<i64>),
    OutputTokens(Option<i64>),
    Timestamp(Timestamp),
    Metadata(Map<String, Value>),
}

impl Fields {
    /// The fields that `fields` names. Of an unknown name, `TypeError`.
    ///
    /// Runs code of Python, such as `__float__`: no lock may be held meanwhile.
    pub(crate) fn from_python(fields: &Bound<'_, PyDict>) -> PyResult<Self> {
        fields
            .iter()
            .map(|(name, value)| Field::from_python(&name, &value))
            .collect::<PyResult<_>>()
            .map(Self)
    }

    /// Sets them.
    pub(crate) fn set(self, interaction: Interaction<'static>) -> Interaction<'static> {
        self.0.into_iter().fold(interaction, |interaction, field| match field {
            Field::Provider(value) => interaction.provider(value),
            Field::Model(value) => interaction.model(value),
            Field::ConversationId(value) => interaction.conversation_id(value),
            Field::SafetyPassed(value) => interaction.safety_passed(value),
            Field::DetectorsTriggered(value) => interaction.detectors_triggered(value),
            Field::BlockReason(value) => interaction.block_reason(value),
            Field::Alerts(value) => interaction.alerts(value),
            Field::LatencyMs(value) => interaction.latency_ms(value),
            Field::InputTokens(value) => interaction.input_tokens(value),
            Field::OutputTokens(value) => interaction.output_tokens(value),
            Field::Timestamp(value) => interaction.timestamp(value),
            Field::Metadata(value) => value
                .into_iter()
                .fold(interaction, |interaction, (key, value)| interaction.metadata(key, value)),
        })
    }
}

impl Field {
    fn from_python(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name: String = name.extract()?;
        Ok(match name.as_str() {
            "provider" => Self::Provider(value.extract()?),
            "model" => Self::Model(value.extract()?),
            "conversation_id" => Self::ConversationId(value.extract()?),
            "safety_passed" => Self::SafetyPassed(value.extract()?),
            "detectors_triggered" => Self::DetectorsTriggered(value.extract()?),
            "block_reason" => Self::BlockReason(value.extract()?),
            "alerts" => Self::Alerts(value.extract()?),
            "latency_ms" => Self::LatencyMs(value.extract()?),
            "input_tokens" => Self::InputTokens(value.extract()?),
            "output_tokens" => Self::OutputTokens(value.extract()?),
            "timestamp" => Self::Timestamp(convert::timestamp(value)?),
            "metadata" => {
                Self::Metadata(json::object(value.cast::<PyDict>().map_err(PyErr::from)?)?)
            }
            _ => {
                let message = format!("an entry has no field {name:?} that can be set");
                return Err(pyo3::exceptions::PyTypeError::new_err(message));
            }
        })
    }
}
