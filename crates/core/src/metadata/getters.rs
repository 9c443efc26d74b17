//! The vocabulary, read from an entry.

use std::time::Duration;

use serde_json::Value;

use super::{
    AGENT_NAME, CALL, CONTENT, CONTENT_INPUT, CONTENT_OUTPUT, ERROR_TYPE, FINISH_REASONS,
    OPERATION, OUTCOME, OUTCOME_COMPLETED, PHASE, RESPONSE_ID, SAFETY, SAFETY_NOT_CHECKED, SPAN_ID,
    TENANT, TIME_TO_FIRST_TOKEN, TOOL_NAME, TRACE_ID, USER,
};
use crate::AuditEntry;

/// Metadata of the [vocabulary](crate::metadata). A value of another type, which only another program
/// can have written, reads as absent.
impl AuditEntry {
    fn text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).and_then(Value::as_str)
    }

    /// The user that the call was made for ([`USER`]).
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.text(USER)
    }

    /// The tenant ([`TENANT`]).
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.text(TENANT)
    }

    /// What was asked for, such as `chat` ([`OPERATION`]).
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.text(OPERATION)
    }

    /// The name of the agent ([`AGENT_NAME`]).
    #[must_use]
    pub fn agent(&self) -> Option<&str> {
        self.text(AGENT_NAME)
    }

    /// The name of the tool ([`TOOL_NAME`]).
    #[must_use]
    pub fn tool(&self) -> Option<&str> {
        self.text(TOOL_NAME)
    }

    /// The provider's id of the response ([`RESPONSE_ID`]).
    #[must_use]
    pub fn response_id(&self) -> Option<&str> {
        self.text(RESPONSE_ID)
    }

    /// Why the model stopped, one text for each choice ([`FINISH_REASONS`]).
    pub fn finish_reasons(&self) -> impl Iterator<Item = &str> {
        let reasons = self.metadata.get(FINISH_REASONS).and_then(Value::as_array);
        reasons.into_iter().flatten().filter_map(Value::as_str)
    }

    /// How the call ended: one of the `OUTCOME_…` values of [`metadata`](crate::metadata), or another
    /// text that another program wrote. [`OUTCOME_COMPLETED`] if it is absent.
    #[must_use]
    pub fn outcome(&self) -> &str {
        self.text(OUTCOME).unwrap_or(OUTCOME_COMPLETED)
    }

    /// The name of the error of a failed call ([`ERROR_TYPE`]).
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        self.text(ERROR_TYPE)
    }

    /// [`PHASE_START`](super::PHASE_START) or [`PHASE_END`](super::PHASE_END) for the entries of a call
    /// that was recorded when it started; `None` for an entry that is the whole call.
    #[must_use]
    pub fn phase(&self) -> Option<&str> {
        self.text(PHASE)
    }

    /// The id of the start entry of the call that this entry ends ([`CALL`]).
    #[must_use]
    pub fn call(&self) -> Option<&str> {
        self.text(CALL)
    }

    /// The trace and the span of the call ([`TRACE_ID`], [`SPAN_ID`]).
    #[must_use]
    pub fn trace(&self) -> (Option<&str>, Option<&str>) {
        (self.text(TRACE_ID), self.text(SPAN_ID))
    }

    /// The time from the request to the first output ([`TIME_TO_FIRST_TOKEN`]).
    #[must_use]
    pub fn time_to_first_token(&self) -> Option<Duration> {
        let milliseconds = self.metadata.get(TIME_TO_FIRST_TOKEN)?.as_f64()?;
        Duration::try_from_secs_f64(milliseconds / 1e3).ok()
    }

    /// What input and output are: each one of the `CONTENT_…` values, or `None` for text ([`CONTENT`],
    /// [`CONTENT_INPUT`], [`CONTENT_OUTPUT`]).
    #[must_use]
    pub fn content_kinds(&self) -> (Option<&str>, Option<&str>) {
        let kind = |key| self.text(key).or_else(|| self.text(CONTENT));
        (kind(CONTENT_INPUT), kind(CONTENT_OUTPUT))
    }

    /// Whether a detector may have looked at the call: false if [`SAFETY`] says that none did.
    #[must_use]
    pub fn safety_checked(&self) -> bool {
        self.text(SAFETY) != Some(SAFETY_NOT_CHECKED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryId, Timestamp};
    use serde_json::json;

    #[test]
    fn values_of_another_type_read_as_absent() {
        let mut entry = AuditEntry::new(
            EntryId::new_unchecked("a"),
            Timestamp::UNIX_EPOCH,
            "i".into(),
            "o".into(),
        );
        for value in [json!(5), json!(null), json!({"a": 1}), json!([5])] {
            for key in [USER, OUTCOME, FINISH_REASONS, TRACE_ID, SAFETY] {
                entry.metadata.insert(key.to_owned(), value.clone());
            }
            entry.metadata.insert(TIME_TO_FIRST_TOKEN.to_owned(), json!(-1));
            assert_eq!((entry.user(), entry.trace()), (None, (None, None)));
            assert_eq!((entry.outcome(), entry.time_to_first_token()), ("completed", None));
            assert!(entry.safety_checked() && entry.finish_reasons().next().is_none());
        }
    }
}
