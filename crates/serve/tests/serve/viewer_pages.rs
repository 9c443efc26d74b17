//! The viewer: which pages a role sees, what every page has, and what hostile texts can do.

use crate::common::browser::Browser;
use crate::common::{Answer, READERS, TestServer, interaction, with};
use attestry::evidence::{EvidenceOptions, SigningKey};
use attestry_serve::{Role, Token};
use serde_json::json;

/// Every page with the roles that may see it.
const CONTENT: &[Role] = &[Role::Content, Role::Admin];
const PAGES: [(&str, &[Role]); 25] = [
    ("/", READERS),
    ("/entries", READERS),
    ("/entries?text_contains=x", CONTENT),
    ("/entries?metadata=attestry.other", CONTENT),
    ("/entries.newer?after=1970-01-01T00:00:00~a", READERS),
    ("/entries.newer?text_contains=x", CONTENT),
    ("/entries.download?form=jsonl", READERS),
    ("/entries.download?form=csv&content=true", CONTENT),
    ("/entries.download?form=jsonl&text_contains=x", CONTENT),
    ("/entries.download?form=proofs", CONTENT),
    ("/entries/e-1", READERS),
    ("/entries/e-1?content=show", CONTENT),
    ("/entries/e-1/proof", READERS),
    ("/entries/e-1/line", CONTENT),
    ("/entries/e-1/input", CONTENT),
    ("/entries/e-1/media/input/0/0", CONTENT),
    ("/entries/e-1/output", CONTENT),
    ("/conversations/c-1", READERS),
    ("/conversations?id=c-1", READERS),
    ("/conversations?id=c-1&content=show", CONTENT),
    ("/conversations/c-1?content=show", CONTENT),
    ("/integrity", READERS),
    ("/integrity/progress", READERS),
    ("/integrity/checkpoint", READERS),
    ("/access", &[Role::Admin]),
];

/// The policy of a page: files of this server only, and nothing in the page itself.
#[track_caller]
fn assert_strict(path: &str, answer: &Answer) {
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{path}: {policy}");
    for loose in ["unsafe", "data:", "http", "*"] {
        assert!(!policy.contains(loose), "{path}: {policy}");
    }
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["x-frame-options"], "DENY");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["referrer-policy"], "same-origin");
}

#[tokio::test]
async fn every_page_is_for_its_roles_only() {
    let server = TestServer::with_tokens().await;
    let entry = with(interaction("a", "b"), &json!({ "id": "e-1", "conversation_id": "c-1" }));
    server.record_as_admin(&entry).await;
    for role in Role::ALL {
        let mut browser = match role {
            Role::Record => Browser::default(),
            _ => Browser::logged_in(&server, role).await,
        };
        let bearer = format!("Bearer {}", server.secret(role));
        for (path, allowed) in PAGES {
            let answer = match role {
                Role::Record => {
                    browser.get_with(&server, path, &[("authorization", &bearer)]).await
                }
                _ => browser.get(&server, path).await,
            };
            let is_forbidden = answer.status.as_u16() == 403;
            assert_eq!(is_forbidden, !allowed.contains(&role), "{path} {role}: {}", answer.text());
        }
    }
    for (path, _) in PAGES {
        let answer = Browser::default().get(&server, path).await;
        assert_eq!(answer.status.as_u16(), 303, "{path}");
        assert!(answer.headers["location"].to_str().unwrap().starts_with("/login?next="), "{path}");
    }
}

#[tokio::test]
async fn every_page_has_the_strict_policy() {
    let server = TestServer::with_tokens().await;
    let entry = with(interaction("a", "b"), &json!({ "id": "e-1", "conversation_id": "c-1" }));
    server.record_as_admin(&entry).await;
    let mut browser = Browser::logged_in(&server, Role::Admin).await;
    let log_in = Browser::default().get(&server, "/login?next=/entries").await;
    assert!(log_in.text().contains("type=\"password\""), "{}", log_in.text());
    assert_strict("/login", &log_in);
    for path in [
        "/",
        "/integrity",
        "/integrity/checkpoint",
        "/access",
        "/entries/none/line",
        "/entries.download?form=none",
        "/entries",
        "/entries?modell=x",
        "/entries/e-1",
        "/entries/e-1?content=show",
        "/entries/none",
        "/conversations/c-1?content=show",
        "/conversations/none",
    ] {
        let answer = browser.get(&server, path).await;
        assert_strict(path, &answer);
        let page = answer.text();
        assert!(page.starts_with("<!DOCTYPE html>"), "{path}");
        for inline in ["<script>", "style=\"", "<style", "onclick", "javascript:"] {
            assert!(!page.contains(inline), "{path} {inline}");
        }
        assert!(page.len() < 150_000);
    }
}

#[tokio::test]
async fn hostile_texts_are_text_in_every_field() {
    let server = TestServer::start().await;
    let hostile =
        "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\0</pre></textarea>";
    let messages = json!([{ "role": hostile, "name": hostile, "parts": [
        { "type": "text", "content": hostile },
        { "type": "tool_call", "id": hostile, "name": hostile, "arguments": { hostile: hostile } },
        { "type": "tool_call_response", "id": hostile, "response": hostile },
        { "type": "blob", "modality": hostile, "mime_type": hostile, "content": "AAAA" },
        { "type": "uri", "modality": "image", "uri": "https://evil.example/a.png" },
        { "type": hostile, "x": hostile },
    ] }]);
    let id = "'\"><script>alert(2)<";
    for (input, more) in
        [(json!(hostile), json!({ "id": id })), (messages, json!({ "id": "messages" }))]
    {
        let entry = json!({ "input": input, "output": hostile, "provider": hostile, "model": hostile,
            "conversation_id": hostile, "safety_passed": false, "detectors_triggered": [hostile],
            "block_reason": hostile, "alerts": [hostile],
            "metadata": { hostile: hostile, "user.id": hostile, "attestry.outcome": "failed",
                "error.type": hostile, "nested": { hostile: [hostile] }, "gen_ai.tool.name": hostile,
                "gen_ai.request.model": hostile, "trace_id": hostile } });
        server.record(&with(entry, &more)).await;
    }
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let column = format!(
        "/entries?column=user,model,detectors,tool,id,{}",
        encoded(&format!("metadata:{hostile}"))
    );
    for path in [
        "/entries".to_owned(),
        column,
        format!("/entries?model={}", encoded(hostile)),
        format!("/entries?metadata={}", encoded(&format!("user.id={}", json!(hostile)))),
        format!("/entries?{}=x", encoded(hostile)),
        format!("/entries/{}", encoded(id)),
        format!("/entries/{}?content=show", encoded(id)),
        "/entries/messages?content=show".to_owned(),
        format!("/entries/{}", encoded(hostile)),
        format!("/conversations/{}", encoded(hostile).replace('+', "%20")),
        format!("/conversations/{}?content=show", encoded(hostile).replace('+', "%20")),
        format!("/conversations?id={}", encoded(hostile)),
        format!("/login?next={}", encoded(hostile)),
    ] {
        let page = server.get(&path).await.text();
        // The fields of a form have what was given, so that it can be sent again.
        let mut parts = page.split(" value=\"");
        let mut outside = parts.next().unwrap().to_owned();
        outside.extend(parts.map(|part| part.split_once('"').unwrap().1));
        let page = outside;
        for markup in
            ["<script>", "<img src=x", "onerror=alert(1)>", "\0", "\u{202e}", "src=\"http"]
        {
            assert!(!page.contains(markup), "{path} {markup:?}: {page}");
        }
        assert!(page.matches("</textarea>").count() == 0, "{path}");
        assert_eq!(page.matches("<pre").count(), page.matches("</pre>").count(), "{path}");
    }
    let page = server.get("/entries/messages?content=show").await.text();
    assert!(page.contains("U+202E") && page.contains("U+0000"), "{page}");
}

#[tokio::test]
async fn nothing_is_shown_that_cannot_be_recorded() {
    let key = SigningKey::generate("example.com/audit").unwrap();
    let open = |open: attestry::OpenOptions| open.evidence(EvidenceOptions::new(key));
    let server = TestServer::with(|options| options, open).await;
    let id =
        server.record(&with(interaction("secret", "y"), &json!({ "conversation_id": "c" }))).await;
    server.lose_access_log();
    for path in [
        "/entries".to_owned(),
        "/entries.newer".to_owned(),
        "/entries.newer?text_contains=none".to_owned(),
        format!("/entries/{id}"),
        format!("/entries/{id}?content=show"),
        format!("/entries/{id}/input"),
        format!("/entries/{id}/line"),
        "/".to_owned(),
        "/integrity".to_owned(),
        "/access".to_owned(),
        "/entries.newer?after=1970-01-01T00:00:00~a".to_owned(),
        "/conversations?id=c".to_owned(),
        "/conversations/c?content=show".to_owned(),
        "/entries.download?form=jsonl&content=true".to_owned(),
        "/entries.download?form=csv".to_owned(),
        "/entries.download?form=proofs".to_owned(),
    ] {
        let answer = server.get(&path).await;
        assert_eq!(answer.status.as_u16(), 503, "{path}: {}", answer.text());
        assert!(!answer.text().contains("secret"), "{path}");
        assert!(path.contains(&id) || !answer.text().contains(&id), "{path}");
    }
}

#[tokio::test]
async fn token_in_a_header_reads_pages_without_a_session() {
    let server = TestServer::with_tokens().await;
    let (_, stranger) = Token::generate("stranger", Role::Read).unwrap();
    for (secret, status) in [(server.secret(Role::Read), 200), (&stranger, 401)] {
        let header = format!("Bearer {secret}");
        let answer =
            Browser::default().get_with(&server, "/entries", &[("authorization", &header)]).await;
        assert_eq!(answer.status.as_u16(), status);
    }
}
