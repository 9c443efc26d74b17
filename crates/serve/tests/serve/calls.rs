//! Calls over HTTP.

use std::time::Duration;

use crate::common::{JSON, TestServer};
use attestry::metadata;
use attestry_serve::Limits;
use serde_json::{Value, json};

async fn start(server: &TestServer) -> String {
    let call = json!({ "input": "What is 2+2?", "model": "gpt-4" });
    let answer = server.post_json("/v1/calls", &call).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn output(server: &TestServer, id: &str, text: &str) -> u16 {
    let path = format!("/v1/calls/{id}/output");
    server.post(&path, "text/plain; charset=utf-8", text.to_owned()).await.status.as_u16()
}

#[tokio::test]
async fn call_is_on_record_from_its_start() {
    let server = TestServer::start().await;
    let id = start(&server).await;
    let begun = server.get(&format!("/v1/entries/{id}")).await.json();
    assert_eq!(begun["metadata"][metadata::PHASE], "start");
    assert_eq!(output(&server, &id, "The answer").await, 204);
    assert_eq!(output(&server, &id, " is").await, 204);
    let end = json!({
        "output": " 4.", "output_tokens": 6, "model": "gpt-4-0613",
        "metadata": { "gen_ai.response.id": "r-1" }
    });
    let answer = server.post_json(&format!("/v1/calls/{id}/end"), &end).await.json();
    let ended = server.get(&format!("/v1/entries/{}", answer["id"].as_str().unwrap())).await.json();
    assert_eq!(ended["output_content"], "The answer is 4.");
    assert_eq!((&ended["output_tokens"], &ended["model"]), (&json!(6), &json!("gpt-4-0613")));
    assert_eq!(ended["metadata"][metadata::CALL], id);
    assert_eq!(ended["metadata"]["gen_ai.response.id"], "r-1");
    assert_eq!(output(&server, &id, "late").await, 404);
    server.post_json(&format!("/v1/calls/{id}/end"), &end).await.problem(404);
}

#[tokio::test]
async fn call_fails_or_is_cut_off() {
    let server = TestServer::start().await;
    for (end, outcome) in [
        (json!({ "outcome": "failed", "error_type": "timeout" }), "failed"),
        (json!({ "outcome": "cut_off" }), "cut_off"),
    ] {
        let path = format!("/v1/calls/{}/end", start(&server).await);
        let answer = server.post_json(&path, &end).await.json();
        let id = answer["id"].as_str().unwrap();
        let ended = server.get(&format!("/v1/entries/{id}")).await.json();
        assert_eq!(ended["metadata"][metadata::OUTCOME], outcome);
    }
    let path = format!("/v1/calls/{}/end", start(&server).await);
    for wrong in [json!({ "outcome": "failed" }), json!({ "error_type": "x" })] {
        server.post_json(&path, &wrong).await.problem(400);
    }
    server.post(&path, JSON, r#"{"outputs": "x"}"#).await.problem(422);
    server.post_json(&path, &json!({})).await;
}

/// The end entries of a store.
async fn ends(server: TestServer) -> Vec<Value> {
    let folder = server.shut_down().await;
    let log = attestry::open(folder.path().join("audit")).read_only(true).await.unwrap();
    let query = attestry::Query::new().metadata_equals(metadata::PHASE, metadata::PHASE_END);
    let page = log.page(query).await.unwrap();
    page.entries.iter().map(attestry::AuditEntry::to_value).collect()
}

#[tokio::test]
async fn shutdown_abandons_open_calls() {
    let server = TestServer::start().await;
    let id = start(&server).await;
    output(&server, &id, "The ans").await;
    let ends = ends(server).await;
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0]["metadata"][metadata::OUTCOME], "abandoned");
    assert_eq!(ends[0]["output_content"], "The ans");
}

#[tokio::test]
async fn idle_call_is_abandoned_and_their_number_is_bounded() {
    let limits =
        Limits { idle_call: Duration::from_millis(200), open_calls: 2, ..Limits::default() };
    let server = TestServer::with(|options| options.limits(limits), |open| open).await;
    let first = start(&server).await;
    start(&server).await;
    let answer = server.post_json("/v1/calls", &json!({ "input": "a" })).await;
    assert!(answer.problem(503).contains("too many calls"));
    while output(&server, "none", "").await == 404
        && !server.get("/metrics").await.text().contains("attestry_open_calls 0")
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(output(&server, &first, "x").await, 404);
    start(&server).await;
    assert_eq!(ends(server).await.len(), 3);
}

#[tokio::test]
async fn call_of_messages_has_an_output_of_messages() {
    let server = TestServer::start().await;
    let call = json!({ "input": [{ "role": "user", "content": "Weather?" }], "metadata": { "n": 9_007_199_254_740_993_u64 } });
    let answer = server.post_json("/v1/calls", &call).await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let begun = server.get(&format!("/v1/entries/{id}")).await.json();
    let input = r#"[{"parts":[{"content":"Weather?","type":"text"}],"role":"user"}]"#;
    assert_eq!(begun["input_content"], input);
    assert_eq!(begun["metadata"][metadata::CONTENT], metadata::CONTENT_MESSAGES_V1);
    assert_eq!(begun["metadata"]["n"], 9_007_199_254_740_993_u64);
    assert_eq!(output(&server, &id, "I will look.").await, 204);
    let tool = r#"{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{}"}}]}"#;
    let path = format!("/v1/calls/{id}");
    let pushed = server.post(&format!("{path}/output"), JSON, tool).await;
    assert_eq!(pushed.status.as_u16(), 204, "{}", pushed.text());
    let end = json!({ "output": " Done." });
    let ended = server.post_json(&format!("{path}/end"), &end).await.json();
    let ended = server.get(&format!("/v1/entries/{}", ended["id"].as_str().unwrap())).await.json();
    let output: Value = serde_json::from_str(ended["output_content"].as_str().unwrap()).unwrap();
    let parts: Vec<_> = output[0]["parts"].as_array().unwrap().iter().map(|p| &p["type"]).collect();
    assert_eq!(parts, ["text", "tool_call", "text"]);
    assert_eq!(ended["metadata"][metadata::CONTENT], metadata::CONTENT_MESSAGES_V1);
}
