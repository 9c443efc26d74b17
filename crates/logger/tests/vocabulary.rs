//! Metadata with a meaning: set on an interaction, read from its entry.
#![allow(clippy::unwrap_used)] // test helpers

use std::time::Duration;

use attestry_core::{ErrorChain, metadata};
use attestry_logger::{AuditLogger, Interaction};
use attestry_memory::MemoryStorage;
use serde_json::{Value, json};

#[tokio::test]
async fn values_that_are_set_are_read_back() {
    let logger = AuditLogger::builder(MemoryStorage::new()).build();
    let interaction = Interaction::new("in", "out")
        .user("u-17")
        .tenant("acme")
        .service("shop")
        .operation("execute_tool")
        .agent("support")
        .tool("search", Some("call_1"))
        .request_model("gpt-4")
        .response_id("resp_1")
        .finish_reasons(["stop", "length"])
        .outcome(metadata::OUTCOME_BLOCKED)
        .error_type("policy")
        .trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
        .time_to_first_token(Duration::from_millis(1_250))
        .safety_not_checked();
    let id = logger.log(interaction).await.unwrap();
    let entry = logger.get_entry(&id).await.unwrap().unwrap();

    assert_eq!((entry.user(), entry.tenant()), (Some("u-17"), Some("acme")));
    assert_eq!((entry.operation(), entry.agent()), (Some("execute_tool"), Some("support")));
    assert_eq!((entry.tool(), entry.response_id()), (Some("search"), Some("resp_1")));
    assert_eq!(entry.finish_reasons().collect::<Vec<_>>(), ["stop", "length"]);
    assert_eq!((entry.outcome(), entry.error_type()), ("blocked", Some("policy")));
    let trace = (Some("4bf92f3577b34da6a3ce929d0e0e4736"), Some("00f067aa0ba902b7"));
    assert_eq!(entry.trace(), trace);
    assert_eq!(entry.time_to_first_token(), Some(Duration::from_millis(1_250)));
    assert!(entry.safety_passed && !entry.safety_checked());
    assert_eq!((entry.phase(), entry.call()), (None, None));
    // The names are part of the format.
    let expected = json!({
        "user.id": "u-17", "attestry.tenant": "acme", "service.name": "shop",
        "gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": "support",
        "gen_ai.tool.name": "search", "gen_ai.tool.call.id": "call_1",
        "gen_ai.request.model": "gpt-4", "gen_ai.response.id": "resp_1",
        "gen_ai.response.finish_reasons": ["stop", "length"], "attestry.outcome": "blocked",
        "error.type": "policy", "trace_id": trace.0, "span_id": trace.1,
        "attestry.time_to_first_token_ms": 1250.0, "attestry.safety": "not_checked",
    });
    assert_eq!(Value::from(entry.metadata), expected);
}

#[tokio::test]
async fn absent_values_leave_no_metadata() {
    let logger = AuditLogger::builder(MemoryStorage::new()).build();
    let none = None::<String>;
    let interaction = Interaction::new("in", "out").user("u-17").metadata("k", 1).user(none);
    let entry = logger.prepare(interaction).unwrap();
    assert_eq!(Value::from(entry.metadata.clone()), json!({"k": 1}));
    assert_eq!((entry.user(), entry.outcome()), (None, "completed"));
    assert!(entry.safety_checked());
}

#[tokio::test]
async fn value_of_the_wrong_type_is_refused_with_its_key() {
    let logger = AuditLogger::builder(MemoryStorage::new()).build();
    for (key, value, expected) in [
        ("user.id", json!(17), "metadata.user.id must be a text"),
        (
            "gen_ai.response.finish_reasons",
            json!("stop"),
            "metadata.gen_ai.response.finish_reasons must be a list of texts",
        ),
        (
            "http.response.status_code",
            json!(200.5),
            "metadata.http.response.status_code must be an integer",
        ),
    ] {
        let error =
            logger.log(Interaction::new("in", "out").metadata(key, value)).await.unwrap_err();
        assert!(ErrorChain(&error).to_string().contains(expected), "{}", ErrorChain(&error));
    }
    logger.log(Interaction::new("in", "out").metadata("user.id", Value::Null)).await.unwrap();
    assert_eq!(logger.count().await.unwrap(), 1);
}
