//! Spans of OpenLLMetry that are no call of a model: workflows, tasks, agents and tools.

use attestry_core::metadata;

use super::common;
use crate::json::Fields;
use crate::record::{CallRecord, Side};

pub(super) fn attributes(record: &mut CallRecord, fields: &mut Fields) {
    let kind = fields.text("traceloop.span.kind").unwrap_or_default();
    let (operation, name) = match kind.as_str() {
        "tool" => ("execute_tool", metadata::TOOL_NAME),
        "agent" => ("invoke_agent", metadata::AGENT_NAME),
        _ => ("invoke_workflow", "traceloop.entity.name"),
    };
    record.set(metadata::OPERATION, Some(operation));
    record.set_text(name, fields, "traceloop.entity.name");
    for (side, name) in
        [(Side::Input, "traceloop.entity.input"), (Side::Output, "traceloop.entity.output")]
    {
        if let Some(value) = fields.take(name) {
            common::content(record, side, value);
        }
    }
}
