//! The parameters of `log` and `start`.

use attestry::Interaction;
use pyo3::prelude::*;
use pyo3::types::PyDict;

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

/// Sets the fields that `fields` names. Of an unknown name, `TypeError`.
pub(crate) fn set(
    mut interaction: Interaction<'static>,
    fields: &Bound<'_, PyDict>,
) -> PyResult<Interaction<'static>> {
    for (name, value) in fields {
        let name: String = name.extract()?;
        interaction = match name.as_str() {
            "provider" => interaction.provider(value.extract::<Option<String>>()?),
            "model" => interaction.model(value.extract::<Option<String>>()?),
            "conversation_id" => interaction.conversation_id(value.extract::<Option<String>>()?),
            "safety_passed" => interaction.safety_passed(value.extract()?),
            "detectors_triggered" => {
                interaction.detectors_triggered(value.extract::<Vec<String>>()?)
            }
            "block_reason" => interaction.block_reason(value.extract::<Option<String>>()?),
            "alerts" => interaction.alerts(value.extract::<Vec<String>>()?),
            "latency_ms" => interaction.latency_ms(value.extract()?),
            "input_tokens" => interaction.input_tokens(value.extract::<Option<i64>>()?),
            "output_tokens" => interaction.output_tokens(value.extract::<Option<i64>>()?),
            "timestamp" => interaction.timestamp(convert::timestamp(&value)?),
            "metadata" => {
                let metadata = json::object(value.cast::<PyDict>().map_err(PyErr::from)?)?;
                metadata
                    .into_iter()
                    .fold(interaction, |interaction, (key, value)| interaction.metadata(key, value))
            }
            _ => {
                let message = format!("an entry has no field {name:?} that can be set");
                return Err(pyo3::exceptions::PyTypeError::new_err(message));
            }
        };
    }
    Ok(interaction)
}
