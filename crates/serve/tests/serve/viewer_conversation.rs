//! The viewer: the page of a conversation.

use crate::common::{self, TestServer, interaction, with};
use serde_json::json;

#[tokio::test]
async fn conversation_of_ten_thousand_turns_has_pages() {
    let server = TestServer::start().await;
    let mut body = String::new();
    for number in 0..10_000 {
        let messages = json!([
            { "role": "user", "content": "first" }, { "role": "assistant", "content": "earlier" },
            { "role": "user", "content": format!("question {number}") },
        ]);
        let entry = json!({ "id": format!("t-{number:05}"), "input": messages, "output": format!("answer {number}"),
            "conversation_id": "c", "timestamp": format!("2026-01-28T{:02}:{:02}:00Z", number / 600, number / 10 % 60) });
        body += &format!("{entry}\n");
    }
    assert_eq!(server.post("/v1/entries", common::NDJSON, body).await.status.as_u16(), 200);
    let mut path = Some("/conversations/c?content=show".to_owned());
    for page_number in 0..3 {
        let answer = server.get(&path.unwrap()).await;
        let page = answer.text();
        assert!(page.len() < 150_000, "{}", page.len());
        assert_eq!(page.matches("class=\"turn").count(), 50);
        assert!(page.contains(&format!("question {}<", page_number * 50)), "{page}");
        assert!(page.contains("After 2 earlier messages") && !page.contains("first"));
        assert!(page.contains("1 min later"));
        let next = page.split("\" rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap();
        path = Some(next.replace("&amp;", "&"));
    }
}

/// Words of the sentences that say that nothing was found changed.
const INTACT: [&str; 2] = ["was found changed", "match their hashes"];

#[tokio::test]
async fn conversation_that_was_not_compared_is_not_called_intact() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let manager = attestry::crypto::EncryptionManager::generate();
    let log = attestry::open(&path).encryption(manager).store_content(true).await.unwrap();
    for text in ["a", "b"] {
        log.log(attestry::Interaction::new(text, text).conversation_id("c")).await.unwrap();
    }
    log.close().await.unwrap();
    let log = attestry::open(&path).await.unwrap();
    let server = TestServer::serve(folder, log, |options| options).await;
    let page = server.get("/conversations/c").await.text();
    assert!(page.contains("The contents of 2 turns of this page could not be compared"), "{page}");
    assert!(INTACT.iter().all(|words| !page.contains(words)), "{page}");
}

#[tokio::test]
async fn conversation_without_a_readable_turn_is_not_called_intact() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let log = attestry::open(&path).await.unwrap();
    for id in ["c", "d"] {
        log.log(attestry::Interaction::new("a", "b").conversation_id(id)).await.unwrap();
    }
    log.close().await.unwrap();
    for file in std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "jsonl") {
            let text = std::fs::read_to_string(&file).unwrap();
            let (first, rest) = text.split_once('\n').unwrap();
            std::fs::write(&file, format!("{}\n{rest}", "#".repeat(first.len()))).unwrap();
        }
    }
    let log = attestry::open(&path).await.unwrap();
    let server = TestServer::serve(folder, log, |options| options).await;
    for id in ["c", "d"] {
        let page = server.get(&format!("/conversations/{id}")).await.text();
        assert!(page.contains("A record cannot be read"), "{page}");
        assert!(INTACT.iter().all(|words| !page.contains(words)), "{id}: {page}");
    }
}

#[tokio::test]
async fn conversation_ids_of_any_form_have_a_page() {
    let server = TestServer::start().await;
    for (id, path) in [
        ("..", "/conversations?id=.."),
        (".", "/conversations?id=."),
        ("a/b c?d#e%f", "/conversations/a%2Fb%20c%3Fd%23e%25f"),
        ("ü\u{202e}", "/conversations/%C3%BC%E2%80%AE"),
    ] {
        let recorded =
            server.record(&with(interaction("x", "y"), &json!({ "conversation_id": id }))).await;
        let list = server.get("/entries").await.text();
        assert!(list.contains(&format!("href=\"{path}\"")), "{path}: {list}");
        let page = server.get(path).await;
        assert_eq!(page.status.as_u16(), 200, "{path}");
        let page = page.text();
        assert!(page.contains(&format!("/entries/{recorded}")), "{path}");
        let title = page.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
        let expected = id.replace('\u{202e}', "[U+202E]");
        assert!(title.starts_with(&format!("Conversation {expected} ")), "{title}");
    }
}
