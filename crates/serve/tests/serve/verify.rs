//! Verifications and statistics over HTTP, and what the server does by itself.

use std::time::Duration;

use crate::common::{TestServer, interaction};
use attestry::evidence::{EvidenceExt as _, EvidenceOptions, Policy, SigningKey, VerifyOptions};
use attestry::{Interaction, Query, Timestamp};
use attestry_serve::{Maintenance, access_log_folder, access_log_key_name};
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

async fn with_evidence(key: &SigningKey, maintenance: Maintenance) -> TestServer {
    let policy = Policy::new(key.public());
    let evidence = EvidenceOptions::new(key.clone()).every_entries(1);
    TestServer::with(
        |options| options.policy(policy).maintenance(maintenance),
        |open| open.evidence(evidence),
    )
    .await
}

fn key() -> SigningKey {
    SigningKey::generate("example.com/audit").unwrap()
}

/// Records an entry, and waits until a checkpoint covers it.
async fn record_and_sign(server: &TestServer) {
    server.record(&interaction("a", "b")).await;
    while server.get("/checkpoint").await.status.as_u16() != 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The body of `/metrics`, once it contains `text`.
async fn metrics_with(server: &TestServer, text: &str) -> String {
    loop {
        let metrics = server.get("/metrics").await.text();
        if metrics.contains(text) {
            return metrics;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn verification_returns_the_report() {
    let server = with_evidence(&key(), Maintenance::default()).await;
    server.get("/v1/verify").await.problem(404);
    record_and_sign(&server).await;
    let result = server.post("/v1/verify", "", "").await.json();
    assert_eq!((&result["clean"], &result["report"]["lines"]), (&json!(true), &json!(1)));
    assert_eq!(result["report"]["problems"], json!([]));
    assert_eq!(server.get("/v1/verify").await.json(), result);
    metrics_with(&server, "\nattestry_verification_problems 0\n").await;
    // An entry is altered behind the server's back.
    let files = std::fs::read_dir(server.store()).unwrap().flatten().map(|file| file.path());
    let segment = files.into_iter().find(|path| path.extension().is_some()).unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replace("gpt-4", "gpt-5")).unwrap();
    let result = server.post("/v1/verify", "", "").await.json();
    assert_eq!(result["clean"], false);
    assert_eq!(result["report"]["problems"][0]["kind"], "altered");
    metrics_with(&server, "\nattestry_verification_problems 1\n").await;
    let accesses = server.accesses().await;
    let verifications = accesses.iter().filter(|(action, ..)| action == "verify");
    // The start and the end of each.
    assert_eq!(verifications.count(), 4);
}

#[tokio::test]
async fn verification_streams_events() {
    let server = with_evidence(&key(), Maintenance::default()).await;
    record_and_sign(&server).await;
    let request = server.request(Method::POST, "/v1/verify").header("accept", "text/event-stream");
    let answer = server.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let text = answer.text();
    let events: Vec<(&str, Value)> = text
        .split("\n\n")
        .filter_map(|event| event.trim().strip_prefix("event: ")?.split_once("\ndata: "))
        .map(|(name, data)| (name, serde_json::from_str(data).unwrap()))
        .collect();
    let (last, rest) = events.split_last().unwrap();
    assert_eq!((last.0, &last.1["clean"]), ("result", &json!(true)), "{text}");
    assert!(rest.iter().all(|(name, data)| *name == "progress" && data["leaves_total"] == 1));
}

#[tokio::test]
async fn store_without_evidence_cannot_be_verified() {
    let server = TestServer::start().await;
    server.post("/v1/verify", "", "").await.problem(404);
}

#[tokio::test]
async fn verifications_are_scheduled_and_recorded() {
    let every =
        Maintenance { verify_every: Some(Duration::from_millis(50)), ..Maintenance::default() };
    let server = with_evidence(&key(), every).await;
    metrics_with(&server, "\nattestry_verification_problems 0\n").await;
    assert_eq!(server.get("/v1/verify").await.json()["clean"], true);
    let (action, name, request, _) = server.accesses().await.remove(0);
    assert_eq!((action.as_str(), request.as_str()), ("verify", "scheduled"));
    assert_eq!(name, "attestry-serve");
}

#[tokio::test]
async fn expired_entries_are_erased_and_that_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let logger = attestry::open(folder.path().join("audit")).retention_days(30).await.unwrap();
    let old = Timestamp::now().saturating_sub_days(31);
    logger.log(Interaction::new("old", "").timestamp(old)).await.unwrap();
    logger.log(Interaction::new("new", "")).await.unwrap();
    let maintenance =
        Maintenance { cleanup_at: Duration::ZERO, clean_up: true, ..Maintenance::default() };
    let server = TestServer::serve(folder, logger, |o| o.maintenance(maintenance)).await;
    metrics_with(&server, "\nattestry_cleaned_entries_total 1\n").await;
    assert_eq!(server.get("/v1/entries").await.json()["entries"].as_array().unwrap().len(), 1);
    let accesses = server.accesses().await;
    let cleanup: Vec<_> = accesses.iter().filter(|(action, ..)| action == "cleanup").collect();
    assert_eq!(cleanup.len(), 2);
    assert_eq!(cleanup[1].2, "retention of 30 days");
    assert_eq!(cleanup[1].3, 1);
}

#[tokio::test]
async fn access_log_has_a_retention_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = access_log_folder(&folder.path().join("audit"));
    let access_log = attestry::open(&path).store_content(true).await.unwrap();
    let at = |days| Timestamp::now().saturating_sub_days(days);
    for (days, request) in [(91, "expired"), (89, "kept"), (88, "kept")] {
        access_log.log(Interaction::new(request, "").timestamp(at(days))).await.unwrap();
    }
    access_log.close().await.unwrap();
    let logger = attestry::open(folder.path().join("audit")).await.unwrap();
    logger.log(Interaction::new("old", "").timestamp(at(4000))).await.unwrap();
    let maintenance = Maintenance {
        cleanup_at: Duration::ZERO,
        access_retention_days: Some(90),
        ..Maintenance::default()
    };
    let server = TestServer::serve(folder, logger, |o| o.maintenance(maintenance)).await;
    metrics_with(&server, "\nattestry_cleaned_access_entries_total 1\n").await;
    assert_eq!(server.get("/v1/entries").await.json()["entries"].as_array().unwrap().len(), 1);
    let log = attestry::open(path).read_only(true).await.unwrap();
    let requests: Vec<_> = log.page(Query::new()).await.unwrap().entries;
    let requests: Vec<_> = requests.iter().map(|entry| entry.input_content.as_deref()).collect();
    assert_eq!(requests[..2], [Some("kept"); 2]);
    assert_eq!(requests[2..4], [Some("access log: retention of 90 days"); 2]);
}

#[tokio::test]
async fn clean_up_after_a_jump_of_the_clock_erases_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let logger = attestry::open(folder.path().join("audit")).retention_days(30).await.unwrap();
    // As if the clock were a year ahead: all entries look expired.
    let old = Timestamp::now().saturating_sub_days(365);
    for n in 0..5 {
        logger.log(Interaction::new(n.to_string(), "").timestamp(old)).await.unwrap();
    }
    let maintenance =
        Maintenance { cleanup_at: Duration::ZERO, clean_up: true, ..Maintenance::default() };
    let server = TestServer::serve(folder, logger, |o| o.maintenance(maintenance)).await;
    metrics_with(&server, "\nattestry_failed_cleanups_total 1\n").await;
    assert_eq!(server.get("/v1/entries").await.json()["entries"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn access_log_keeps_evidence() {
    let access_key = key().renamed(&access_log_key_name("example.com/audit")).unwrap();
    let evidence = EvidenceOptions::new(access_key.clone());
    let server = TestServer::with(|options| options.access_evidence(evidence), |open| open).await;
    server.record(&interaction("a", "b")).await;
    server.get("/v1/entries").await;
    server.get("/v1/stats").await;
    let folder = server.shut_down().await;
    let path = access_log_folder(&folder.path().join("audit"));
    let verify = async || {
        let log = attestry::open(&path).read_only(true).await.unwrap();
        let options = VerifyOptions::new().policy(Policy::new(access_key.public()));
        log.evidence().unwrap().verify(options).await.unwrap()
    };
    let result = verify().await;
    assert_eq!((result.is_clean(), result.lines, result.signed), (true, 3, Some(3)));
    // The record of a read is removed.
    let log = attestry::open(&path).read_only(true).await.unwrap();
    assert_eq!(log.page(Query::new()).await.unwrap().entries.len(), 3);
    let files = std::fs::read_dir(&path).unwrap().flatten().map(|file| file.path());
    let segment = files.into_iter().find(|path| path.extension().is_some()).unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, &text[text.find('\n').unwrap() + 1..]).unwrap();
    assert!(!verify().await.is_clean());
}

#[tokio::test]
async fn statistics_are_those_of_the_selection() {
    let server = TestServer::start().await;
    for (model, tokens) in [("a", 1), ("a", 2), ("b", 4)] {
        let mut one = interaction("in", "out");
        one["model"] = model.into();
        one["output_tokens"] = tokens.into();
        one["latency_ms"] = 10.into();
        server.record(&one).await;
    }
    // A call is one entry, although it has two.
    let call = server.post_json("/v1/calls", &json!({ "input": "x", "model": "c" })).await.json();
    let path = format!("/v1/calls/{}/end", call["id"].as_str().unwrap());
    server.post_json(&path, &json!({ "output": "y" })).await;
    let stats = server.get("/v1/stats?by=model").await.json();
    let groups: Vec<_> = stats["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["model"].as_str().unwrap(), group["entries"].as_u64().unwrap()))
        .collect();
    assert_eq!(groups, [("a", 2), ("b", 1), ("c", 1)]);
    assert_eq!(stats["total"]["output_tokens"], 7);
    let some = server.get("/v1/stats?by=day,metadata:none&percentile=50&model=a").await.json();
    assert_eq!(some["total"]["entries"], 2);
    assert_eq!(some["total"]["latency_ms"]["p50"], 10.0);
    assert_eq!(some["groups"][0]["none"], Value::Null);
    for wrong in ["by=x", "percentile=101", "limit=3", "decrypt=true", "user=x", "reason=x"] {
        server.get(&format!("/v1/stats?{wrong}")).await.problem(400);
    }
    let accesses = server.accesses().await;
    assert_eq!(accesses.last().unwrap().0, "stats");
    assert_eq!(accesses.iter().filter(|access| access.3 == 4).count(), 1);
}

#[tokio::test]
async fn one_summary_is_bounded() {
    let server = TestServer::start().await;
    let long = "ä".repeat(4000);
    let given =
        json!({ "input": "a", "output": "b", "model": long, "metadata": { "x": { "y": long } } });
    server.record(&given).await;
    let stats = server.get("/v1/stats?by=model,metadata:x,model").await.json();
    assert_eq!(stats["by"], json!(["model", "x"]));
    for key in ["model", "x"] {
        let value = stats["groups"][0][key].as_str().unwrap();
        assert!((1000..=1024).contains(&value.len()) && value.ends_with('…'), "{}", value.len());
    }
    let list = |count: u32, prefix: &str| {
        (0..count).map(|number| format!("{prefix}{}", number + 1)).collect::<Vec<_>>().join(",")
    };
    for (key, limit, prefix) in [("by", 8, "metadata:"), ("percentile", 16, "")] {
        let status = async |count| {
            let path = format!("/v1/stats?{key}={}", list(count, prefix));
            server.get(&path).await.status.as_u16()
        };
        assert_eq!((status(limit).await, status(limit + 1).await), (200, 400), "{key}");
    }
}
