//! The page about integrity.

use std::time::Duration;

use crate::common::browser::Browser;
use crate::common::{self, TestServer, interaction};
use attestry::evidence::{EvidenceOptions, Policy, SigningKey};
use attestry_serve::{Role, Token};

async fn with_evidence() -> TestServer {
    let key = SigningKey::generate("example.com/audit").unwrap();
    let policy = Policy::new(key.public());
    let evidence = EvidenceOptions::new(key).every_entries(1);
    TestServer::with(|options| options.policy(policy), |open| open.evidence(evidence)).await
}

/// The page, once it contains `text`.
async fn page_with(server: &TestServer, browser: &mut Browser, text: &str) -> String {
    loop {
        let page = browser.get(server, "/integrity").await;
        assert_eq!(page.status.as_u16(), 200, "{}", page.text());
        if page.text().contains(text) {
            return page.text();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn verify_button_tells_an_intact_record_from_an_altered_one() {
    let server = with_evidence().await;
    let mut browser = Browser::default();
    server.record(&interaction("a", "b")).await;
    page_with(&server, &mut browser, "Not verified since this server started").await;
    let page = page_with(&server, &mut browser, "Leaves that it covers").await;
    assert!(page.contains("example.com/audit"), "{page}");
    let answer = browser.post(&server, "/integrity/verify", &[]).await;
    assert_eq!(answer.status.as_u16(), 303, "{}", answer.text());
    assert_eq!(answer.headers["location"], "/integrity");
    let page = page_with(&server, &mut browser, "The record is intact: 1 records match").await;
    assert!(page.contains("notice verdict ok"), "{page}");
    // An entry is altered behind the server's back.
    let files = std::fs::read_dir(server.store()).unwrap().flatten().map(|file| file.path());
    let segment = files.into_iter().find(|path| path.extension().is_some()).unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replace("gpt-4", "gpt-5")).unwrap();
    browser.post(&server, "/integrity/verify", &[]).await;
    let page = page_with(&server, &mut browser, "The record is not intact").await;
    assert!(page.contains("notice verdict bad") && page.contains("<td>altered</td>"), "{page}");
    let accesses = server.accesses().await;
    let verifications = accesses.iter().filter(|access| access.0 == "verify");
    // The start and the end of each.
    assert_eq!(verifications.filter(|access| access.2 == "/integrity/verify").count(), 4);
}

#[tokio::test]
async fn verification_begins_only_from_a_form_of_this_browser() {
    let server = with_evidence().await;
    let mut browser = Browser::default();
    browser.get(&server, "/integrity").await;
    for (fields, site) in [(&[("form_token", "x")][..], "same-origin"), (&[], "same-origin")] {
        let headers = [("sec-fetch-site", site)];
        let answer = browser.post_raw(&server, "/integrity/verify", fields, &headers).await;
        assert_eq!(answer.status.as_u16(), 403);
    }
    let form_token = browser.form_token.clone();
    let (fields, headers) = ([("form_token", &*form_token)], [("sec-fetch-site", "cross-site")]);
    let answer = browser.post_raw(&server, "/integrity/verify", &fields, &headers).await;
    assert_eq!(answer.status.as_u16(), 403);
    assert_eq!(browser.get(&server, "/integrity/verify").await.status.as_u16(), 405);
    assert!(server.accesses().await.iter().all(|access| access.0 != "verify"));
}

#[tokio::test]
async fn checkpoint_is_for_sessions_too() {
    let (token, secret) = Token::generate("viewer", Role::Read).unwrap();
    let evidence =
        EvidenceOptions::new(SigningKey::generate("example.com/audit").unwrap()).every_entries(1);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("audit");
    let log = attestry::open(store).evidence(evidence).await.unwrap();
    log.log(attestry::Interaction::new("a", "b")).await.unwrap();
    let server = TestServer::serve(folder, log, |options| options.one_time_login(token)).await;
    let mut browser = Browser::default();
    browser.get(&server, &format!("/login?once={secret}")).await;
    let page = page_with(&server, &mut browser, "The signed checkpoint as text").await;
    let path = page.split("\" download=\"checkpoint.txt\"").next().unwrap();
    let path = path.rsplit("href=\"").next().unwrap();
    let answer = browser.get(&server, path).await;
    assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text());
    assert!(answer.text().starts_with("example.com/audit\n1\n"), "{}", answer.text());
    assert_eq!(Browser::default().get(&server, path).await.status.as_u16(), 303);
}

#[tokio::test]
async fn progress_ends_when_nothing_is_verified() {
    let server = with_evidence().await;
    let answer = server.get("/integrity/progress").await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    // Browsers ignore an event without data.
    assert_eq!(answer.text(), "event: ended\ndata: {}\n\n");
}

#[tokio::test]
async fn erasures_and_open_calls_are_shown() {
    let server = with_evidence().await;
    let mut browser = Browser::default();
    let id = server.record(&interaction("a", "b")).await;
    page_with(&server, &mut browser, "Nothing was erased").await;
    let path = format!("/v1/entries/{id}?reason=%3Cb%3Erequest%3C/b%3E%204711");
    assert_eq!(server.delete(&path).await.status.as_u16(), 200);
    let page = page_with(&server, &mut browser, "4711").await;
    assert!(
        page.contains("&lt;b&gt;request&lt;/b&gt; 4711") && page.contains("anonymous"),
        "{page}"
    );
    server.post_json("/v1/calls", &serde_json::json!({ "input": "a" })).await;
    page_with(&server, &mut browser, "href=\"/entries?phase=open\">1</a>").await;
}

#[tokio::test]
async fn store_without_evidence_is_not_called_intact() {
    let server = TestServer::with_tokens().await;
    for role in common::READERS {
        let mut browser = Browser::logged_in(&server, *role).await;
        let page = page_with(&server, &mut browser, "keeps no evidence").await;
        assert!(!page.contains("action=\"/integrity/verify\""), "{page}");
    }
    let mut browser = Browser::logged_in(&server, Role::Read).await;
    page_with(&server, &mut browser, "keeps no evidence").await;
    let answer = browser.post(&server, "/integrity/verify", &[]).await;
    assert_eq!(answer.status.as_u16(), 404, "{}", answer.text());
}
