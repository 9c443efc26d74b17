//! Reading and erasing over HTTP, and the access log.

use crate::common::{NDJSON, TestServer, interaction};
use attestry::crypto::EncryptionManager;
use http::StatusCode;
use serde_json::{Value, json};

async fn with_entries(count: usize) -> TestServer {
    let server = TestServer::start().await;
    let lines: String = (0..count)
        .map(|n| {
            let mut one = interaction(&format!("question {n}"), "answer");
            one["id"] = format!("e{n:03}").into();
            one["timestamp"] = format!("2026-01-28T00:00:{:02}", n / 2).into();
            one["metadata"] = json!({ "user.id": format!("u-{}", n % 3) });
            format!("{one}\n")
        })
        .collect();
    assert_eq!(server.post("/v1/entries", NDJSON, lines).await.status, StatusCode::OK);
    server
}

fn ids(entries: &Value) -> Vec<&str> {
    entries.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_follow_each_other() {
    let server = with_entries(25).await;
    let mut path = "/v1/entries?order=descending&limit=10".to_owned();
    let mut all = Vec::new();
    loop {
        let page = server.get(&path).await.json();
        assert_eq!(page["unreadable"], json!([]));
        all.extend(ids(&page["entries"]).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/entries?order=descending&limit=10&after={next}");
    }
    let expected: Vec<_> = (0..25).rev().map(|n| format!("e{n:03}")).collect();
    assert_eq!(all, expected);
    for limit in ["0", "1001"] {
        let answer = server.get(&format!("/v1/entries?limit={limit}")).await;
        assert!(answer.problem(400).contains("1 to 1000"));
    }
}

#[tokio::test]
async fn lines_are_all_entries_that_match() {
    let server = with_entries(40).await;
    let answer = server.get_lines("/v1/entries?metadata=user.id%3Du-1").await;
    assert_eq!(answer.headers["content-type"], NDJSON);
    let found = Value::from(answer.lines());
    let expected: Vec<_> = (0..40).filter(|n| n % 3 == 1).map(|n| format!("e{n:03}")).collect();
    assert_eq!(ids(&found), expected);
    server.get_lines("/v1/entries?since=2026-02-01&until=2026-01-01").await.problem(400);
}

#[tokio::test]
async fn corrupt_record_does_not_hide_the_others() {
    let server = with_entries(5).await;
    let folder = server.shut_down().await;
    let path = folder.path().join("audit");
    let segment = std::fs::read_dir(&path).unwrap().flatten().map(|file| file.path());
    let segment = segment.into_iter().find(|path| path.extension().is_some()).unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("\"output_hash\": ", "\"output_hash\":!", 1)).unwrap();
    let logger = attestry::open(path).await.unwrap();
    let server = TestServer::serve(folder, logger, |options| options).await;
    let page = server.get("/v1/entries").await.json();
    assert_eq!((ids(&page["entries"]).len(), page["unreadable"].as_array().unwrap().len()), (4, 1));
    let lines = server.get_lines("/v1/entries").await.lines();
    assert_eq!(lines.iter().filter(|line| line.get("unreadable").is_some()).count(), 1);
    assert_eq!(lines.len(), 5);
}

#[tokio::test]
async fn encrypted_content_is_decrypted_on_request() {
    let key = EncryptionManager::generate();
    let server = TestServer::with(|options| options, |open| open.encryption(key)).await;
    let id = server.record(&interaction("confidential", "answer")).await;
    let stored = server.get(&format!("/v1/entries/{id}")).await.json();
    assert!(!stored.to_string().contains("confidential") && stored["input_content"].is_string());
    let entry = server.get(&format!("/v1/entries/{id}?decrypt=true")).await.json();
    assert_eq!(entry["input_content"], "confidential");
    let page = server.get("/v1/entries?decrypt=true").await.json();
    assert_eq!(page["entries"][0]["output_content"], "answer");
    let lines = server.get_lines("/v1/entries?decrypt=true").await.lines();
    assert_eq!(lines[0]["output_content"], "answer");
    // With another key.
    let folder = server.shut_down().await;
    let logger = attestry::open(folder.path().join("audit"))
        .encryption(EncryptionManager::generate())
        .await
        .unwrap();
    let server = TestServer::serve(folder, logger, |options| options).await;
    server.get(&format!("/v1/entries/{id}?decrypt=true")).await.problem(422);
    let lines = server.get_lines("/v1/entries?decrypt=true").await.lines();
    assert!(lines[0]["unreadable"].as_str().unwrap().starts_with(&id));
}

#[tokio::test]
async fn erasing_needs_a_reason_and_a_condition() {
    let server = with_entries(9).await;
    assert!(server.delete("/v1/entries").await.problem(400).contains("at least one condition"));
    let of_user = "/v1/entries?metadata=user.id%3Du-1";
    assert!(server.delete(of_user).await.problem(400).contains("reason"));
    let dry = server.delete(&format!("{of_user}&dry_run=true")).await.json();
    assert_eq!(dry["selected"], 3);
    let erased = server.delete(&format!("{of_user}&reason=request%204711")).await.json();
    assert_eq!(erased["erased"], 3);
    assert!(server.delete("/v1/entries/e000").await.problem(400).contains("reason"));
    assert_eq!(server.delete("/v1/entries/e000?reason=x").await.json()["erased"], 1);
    server.delete("/v1/entries/e000?reason=x").await.problem(404);
    let left = server.get("/v1/entries").await.json();
    assert_eq!(ids(&left["entries"]), ["e002", "e003", "e005", "e006", "e008"]);
}

#[tokio::test]
async fn every_access_is_recorded() {
    let server = with_entries(4).await;
    server.get("/v1/entries/e001").await;
    server.get("/v1/entries/none").await.problem(404);
    server.get("/v1/entries?limit=3").await;
    server.get_lines("/v1/entries?provider=openai").await;
    server.get("/v1/entries/e001?decrypt=true").await;
    server.delete("/v1/entries/e001?reason=x").await;
    let recorded = |action: &str, request: &str, count: Value| {
        (action.to_owned(), json!("anonymous"), request.to_owned(), count)
    };
    let begin = recorded("export", "/v1/entries?provider=openai", Value::Null);
    assert_eq!(
        server.accesses().await,
        [
            recorded("read", "/v1/entries/e001", json!(1)),
            recorded("read", "/v1/entries/none", json!(0)),
            recorded("list", "/v1/entries?limit=3", json!(3)),
            begin,
            recorded("export", "/v1/entries?provider=openai", json!(4)),
            recorded("decrypt", "/v1/entries/e001?decrypt=true", json!(1)),
            recorded("delete", "/v1/entries/e001?reason=x", Value::Null),
            recorded("delete", "/v1/entries/e001?reason=x", json!(1)),
        ]
    );
}

#[tokio::test]
async fn nothing_is_returned_that_cannot_be_recorded() {
    let server = with_entries(2).await;
    // As a full disk, which root does not meet with permissions.
    let access = server.store().join(".attestry/access");
    std::fs::rename(&access, server.folder.path().join("moved")).unwrap();
    std::fs::write(&access, "not a folder").unwrap();
    for path in ["/v1/entries/e001", "/v1/entries", "/v1/entries?decrypt=true"] {
        let answer = server.get(path).await;
        assert!(answer.problem(503).contains("the access log cannot be written"), "{path}");
    }
    server.get_lines("/v1/entries").await.problem(503);
    // Recording goes on.
    server.record(&interaction("a", "b")).await;
}

#[tokio::test]
async fn checkpoint_and_proofs_are_served() {
    use attestry::evidence::{EvidenceOptions, Policy, SigningKey, line_hash};
    let key = SigningKey::generate("example.com/audit").unwrap();
    let policy = Policy::new(key.public());
    let server = TestServer::with(|o| o, |open| open.evidence(EvidenceOptions::new(key))).await;
    let id = server.record(&interaction("a", "b")).await;
    let folder = server.shut_down().await; // signs a checkpoint
    let logger = attestry::open(folder.path().join("audit")).await.unwrap();
    let server = TestServer::serve(folder, logger, |options| options).await;
    assert!(server.get("/checkpoint").await.text().starts_with("example.com/audit\n1\n"));
    let proof = server.get(&format!("/v1/entries/{id}/proof")).await.text();
    let line = server.get(&format!("/v1/entries/{id}")).await.text();
    let proof: attestry::evidence::InclusionProof = proof.parse().unwrap();
    proof.verify(line_hash(line.as_bytes()).unwrap(), &policy).unwrap();
    server.get("/v1/entries/none/proof").await.problem(404);
    let without = TestServer::start().await;
    without.get("/checkpoint").await.problem(404);
}
