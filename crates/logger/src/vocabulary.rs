//! Setters for the metadata that has a meaning.

use std::time::Duration;

use attestry_core::{OptionalText, metadata};
use serde_json::Value;

use crate::Interaction;

/// Metadata of the [vocabulary](attestry_core::metadata). `None` removes an item.
impl Interaction<'_> {
    fn text(mut self, key: &str, value: impl OptionalText) -> Self {
        match value.into_optional_text() {
            Some(value) => {
                self.metadata.insert(key.to_owned(), Value::String(value));
            }
            None => {
                self.metadata.shift_remove(key);
            }
        }
        self
    }

    /// The user that the call was made for: `user.id`.
    ///
    /// ```
    /// use attestry_logger::Interaction;
    ///
    /// let interaction = Interaction::new("2+2?", "4")
    ///     .user("u-17")
    ///     .operation("chat")
    ///     .trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    ///     .finish_reasons(["stop"]);
    /// ```
    #[must_use]
    pub fn user(self, id: impl OptionalText) -> Self {
        self.text(metadata::USER, id)
    }

    /// The tenant, in a service that several organisations share: `attestry.tenant`.
    #[must_use]
    pub fn tenant(self, tenant: impl OptionalText) -> Self {
        self.text(metadata::TENANT, tenant)
    }

    /// The service that makes the call: `service.name`.
    #[must_use]
    pub fn service(self, name: impl OptionalText) -> Self {
        self.text(metadata::SERVICE_NAME, name)
    }

    /// What is asked for, such as `chat`, `embeddings` or `execute_tool`: `gen_ai.operation.name`.
    #[must_use]
    pub fn operation(self, name: impl OptionalText) -> Self {
        self.text(metadata::OPERATION, name)
    }

    /// The agent: `gen_ai.agent.name`.
    #[must_use]
    pub fn agent(self, name: impl OptionalText) -> Self {
        self.text(metadata::AGENT_NAME, name)
    }

    /// The tool that was executed, and the id of its call: `gen_ai.tool.name`, `gen_ai.tool.call.id`.
    #[must_use]
    pub fn tool(self, name: impl OptionalText, call_id: impl OptionalText) -> Self {
        self.text(metadata::TOOL_NAME, name).text(metadata::TOOL_CALL_ID, call_id)
    }

    /// The model that was asked for, where it differs from the one that answered:
    /// `gen_ai.request.model`.
    #[must_use]
    pub fn request_model(self, model: impl OptionalText) -> Self {
        self.text(metadata::REQUEST_MODEL, model)
    }

    /// The provider's id of the response: `gen_ai.response.id`.
    #[must_use]
    pub fn response_id(self, id: impl OptionalText) -> Self {
        self.text(metadata::RESPONSE_ID, id)
    }

    /// Why the model stopped, one text for each choice: `gen_ai.response.finish_reasons`.
    #[must_use]
    pub fn finish_reasons<T: Into<String>>(mut self, reasons: impl IntoIterator<Item = T>) -> Self {
        let reasons: Vec<String> = reasons.into_iter().map(Into::into).collect();
        self.metadata.insert(metadata::FINISH_REASONS.to_owned(), reasons.into());
        self
    }

    /// How the call ended: one of the `OUTCOME_…` values of [`metadata`]. Not needed for a completed
    /// call, nor for a [`Call`](crate::Call), which sets it.
    #[must_use]
    pub fn outcome(self, outcome: impl OptionalText) -> Self {
        self.text(metadata::OUTCOME, outcome)
    }

    /// A short, stable name of the error of a failed call, without content: `error.type`.
    #[must_use]
    pub fn error_type(self, name: impl OptionalText) -> Self {
        self.text(metadata::ERROR_TYPE, name)
    }

    /// The trace and the span of the call, in hexadecimal digits: `trace_id`, `span_id`.
    #[must_use]
    pub fn trace(self, trace_id: impl OptionalText, span_id: impl OptionalText) -> Self {
        self.text(metadata::TRACE_ID, trace_id).text(metadata::SPAN_ID, span_id)
    }

    /// The time from the request to the first output: `attestry.time_to_first_token_ms`.
    #[must_use]
    pub fn time_to_first_token(self, time: Duration) -> Self {
        self.metadata(metadata::TIME_TO_FIRST_TOKEN, time.as_secs_f64() * 1e3)
    }

    /// Says that no detector looked at the call: `attestry.safety` = `not_checked`. `safety_passed`
    /// stays true, for compatibility with the Python package.
    #[must_use]
    pub fn safety_not_checked(self) -> Self {
        self.metadata(metadata::SAFETY, metadata::SAFETY_NOT_CHECKED)
    }
}
