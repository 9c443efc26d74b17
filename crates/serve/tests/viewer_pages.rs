//! The viewer: what the pages show, to which role, and what hostile texts can do.

#![allow(clippy::unwrap_used)]

mod common;

use attestry::evidence::{EvidenceExt as _, EvidenceOptions, Policy, SigningKey};
use attestry_serve::{Role, Token};
use common::browser::Browser;
use common::{Answer, READERS, TestServer, interaction};
use http_body_util::Full;
use serde_json::{Value, json};

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

async fn record_as_admin(server: &TestServer, interaction: &Value) {
    let token = format!("Bearer {}", server.secret(Role::Admin));
    let request = server.request(http::Method::POST, "/v1/entries").header("authorization", token);
    let request = request.header("content-type", common::JSON);
    let answer = server.send(request.body(Full::from(interaction.to_string())).unwrap()).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
}

fn with(mut interaction: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        interaction[key] = value.clone();
    }
    interaction
}

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
    record_as_admin(&server, &entry).await;
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
    record_as_admin(&server, &entry).await;
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
async fn content_is_masked_until_it_is_asked_for() {
    let server = TestServer::with_tokens().await;
    let entry = with(
        interaction("secret question", "secret answer"),
        &json!({ "id": "e-1", "conversation_id": "c-1",
            "metadata": { "attestry.other": { "note": "secret note" } } }),
    );
    record_as_admin(&server, &entry).await;
    let mut reader = Browser::logged_in(&server, Role::Read).await;
    let mut auditor = Browser::logged_in(&server, Role::Content).await;
    for path in ["/entries", "/entries/e-1", "/conversations/c-1"] {
        let page = reader.get(&server, path).await.text();
        assert!(!page.contains("secret"), "{path}: {page}");
        let page = auditor.get(&server, path).await.text();
        assert!(!page.contains("secret question") && !page.contains("secret answer"), "{path}");
    }
    for path in ["/entries/e-1?content=show", "/conversations/c-1?content=show"] {
        let page = auditor.get(&server, path).await.text();
        assert!(
            page.contains("secret question") && page.contains("secret answer"),
            "{path}: {page}"
        );
        let refused = reader.get(&server, path).await;
        assert_eq!(refused.status.as_u16(), 403);
        assert!(!refused.text().contains("secret"));
    }
    let whole = auditor.get(&server, "/entries/e-1/output").await;
    assert_eq!(whole.text(), "secret answer");
    let accesses = server.accesses().await;
    let shown = accesses.iter().filter(|(action, ..)| action == "decrypt");
    let shown: Vec<_> =
        shown.map(|(_, name, request, _)| (name.as_str().unwrap(), &**request)).collect();
    assert_eq!(
        shown,
        [
            ("content", "/entries/e-1?content=show"),
            ("content", "/conversations/c-1?content=show"),
            ("content", "/entries/e-1/output"),
        ]
    );
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
async fn long_texts_are_cut_with_a_link_to_all_of_them() {
    let server = TestServer::start().await;
    let long = "<\u{202e}ä ".repeat(700_000);
    let many: Vec<_> =
        (0..3_000).map(|n| json!({ "role": "user", "content": format!("<{n}>") })).collect();
    server
        .record(&with(interaction(&long, &long), &json!({ "id": "long", "conversation_id": "c" })))
        .await;
    server
        .record(&json!({ "id": "many", "input": many, "output": "x", "conversation_id": "c" }))
        .await;
    for path in [
        "/entries",
        "/entries/long",
        "/entries/long?content=show",
        "/entries/many?content=show",
        "/conversations/c?content=show",
    ] {
        let page = server.get(path).await;
        assert_eq!(page.status.as_u16(), 200, "{path}");
        assert!(page.body.len() < 150_000, "{path}: {}", page.body.len());
    }
    let page = server.get("/entries/long?content=show").await.text();
    assert!(page.contains("longer than this page shows") && page.contains("/entries/long/input"));
    assert_eq!(server.get("/entries/long/input").await.text(), long);
}

#[tokio::test]
async fn long_fields_are_cut_and_not_linked() {
    let server = TestServer::start().await;
    let hidden = "\0".repeat(200_000);
    let metadata: serde_json::Map<String, Value> = (0..300)
        .map(|number| (format!("key-{number}"), json!("\0".repeat(1_000))))
        .chain(
            ["user.id", "attestry.outcome", "attestry.adds_to"]
                .map(|key| (key.to_owned(), json!(hidden))),
        )
        .collect();
    for number in 0..50 {
        let fields = json!({ "id": format!("e-{number}"), "conversation_id": hidden, "model": hidden,
            "provider": hidden, "detectors_triggered": [hidden, hidden], "alerts": [hidden],
            "block_reason": hidden, "metadata": metadata });
        server.record(&with(interaction("x", "y"), &fields)).await;
    }
    for path in ["/entries", "/entries?column=user,detectors,metadata:key-1", "/entries/e-1"] {
        let page = server.get(path).await;
        assert_eq!(page.status.as_u16(), 200, "{path}");
        assert!(page.body.len() < 250_000, "{path}: {}", page.body.len());
        let page = page.text();
        assert!(!page.contains("href=\"/conversations/"), "{path}");
        assert!(page.contains("U+0000"), "{path}");
    }
}

#[tokio::test]
async fn images_are_of_known_types_and_from_this_server() {
    let server = TestServer::start().await;
    let png = "iVBORw0KGgo=";
    let part = |media_type: &str| json!({ "type": "blob", "modality": "image", "mime_type": media_type, "content": png });
    let input = json!([{ "role": "user", "parts": [part("image/png"), part("image/svg+xml")] }]);
    server.record(&json!({ "id": "e-1", "input": input, "output": "x" })).await;
    let page = server.get("/entries/e-1?content=show").await.text();
    assert!(page.contains("src=\"/entries/e-1/media/input/0/0\""), "{page}");
    assert!(!page.contains("media/input/0/1"));
    let image = server.get("/entries/e-1/media/input/0/0").await;
    assert_eq!(
        (image.status.as_u16(), &image.headers["content-type"]),
        (200, &"image/png".parse().unwrap())
    );
    assert_eq!(image.headers["content-security-policy"], "default-src 'none'; sandbox");
    assert_eq!(server.get("/entries/e-1/media/input/0/1").await.status.as_u16(), 404);
    assert_eq!(server.get("/entries/e-1/media/output/0/0").await.status.as_u16(), 404);
}

/// A store with evidence and a checkpoint over three entries, of which two were changed on disk: the output of one and
/// the model of another. A fourth is not covered yet.
async fn tampered() -> TestServer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let key = || {
        let file = folder.path().join("key");
        if !file.exists() {
            SigningKey::generate("example.com/audit").unwrap().write_new_file(&file).unwrap();
        }
        SigningKey::from_file(&file).unwrap()
    };
    let open = || attestry::open(&path).store_content(true).evidence(EvidenceOptions::new(key()));
    let log = open().await.unwrap();
    for (id, output) in [("good", "answer-1"), ("content", "answer-2"), ("field", "answer-3")] {
        let entry = attestry::Interaction::new("question", output).model("gpt-4");
        let entry = entry.id(id.parse::<attestry::EntryId>().unwrap()).conversation_id("c");
        log.log(entry).await.unwrap();
    }
    log.evidence().unwrap().checkpoint().await.unwrap();
    log.close().await.unwrap();
    for file in std::fs::read_dir(&path).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "jsonl") {
            let text = std::fs::read_to_string(&file).unwrap();
            let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
            for line in &mut lines {
                *line = line.replace("answer-2", "denial-2");
                if line.contains("\"field\"") {
                    *line = line.replace("gpt-4", "gpt-5");
                }
            }
            std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        }
    }
    let policy = Policy::new(key().public());
    let log = open().await.unwrap();
    let server = TestServer::serve(folder, log, |options| options.policy(policy)).await;
    server.record(&with(interaction("question", "answer-4"), &json!({ "id": "soft" }))).await;
    server
}

#[tokio::test]
async fn entry_says_whether_it_is_what_was_recorded() {
    let server = tampered().await;
    let verdicts = async |id: &str| {
        let page = server.get(&format!("/entries/{id}")).await.text();
        let of = |name: &str| {
            let (before, after) = page.split_once(&format!("data-verdict=\"{name}\">")).unwrap();
            let class = before.rsplit("class=\"").next().unwrap().split('"').next().unwrap();
            format!("{class}: {}", after.split('<').next().unwrap())
        };
        (of("content"), of("line"), page.contains("download=\"entry.tlog-proof\""))
    };
    let (content, line, has_proof) = verdicts("good").await;
    assert_eq!(content, "notice ok: The content matches its hash.");
    assert!(line.starts_with("notice ok: The line is in the Merkle tree"), "{line}");
    assert!(has_proof);
    let (content, line, has_proof) = verdicts("content").await;
    assert!(content.starts_with("notice bad: The content does not match its hash"), "{content}");
    assert!(line.starts_with("notice bad: The stored line is not in the Merkle tree"), "{line}");
    assert!(!has_proof);
    let (content, line, _) = verdicts("field").await;
    assert_eq!(content, "notice ok: The content matches its hash.");
    assert!(line.starts_with("notice bad: The stored line is not in the Merkle tree"), "{line}");
    let (_, line, _) = verdicts("soft").await;
    assert!(
        line.starts_with("notice warn: The line is in the Merkle tree. No checkpoint"),
        "{line}"
    );
    // A text that is not what was recorded is not shown as if it were.
    let page = server.get("/entries/content?content=show").await.text();
    assert!(page.contains("The content is not shown") && page.contains("denial-2"), "{page}");
    let page = server.get("/conversations/c?content=show").await.text();
    assert!(page.contains("2 turns of this page are not what was recorded"), "{page}");
    assert_eq!(page.matches("class=\"turn problem\"").count(), 2);
}

#[tokio::test]
async fn commands_for_the_content_are_those_that_work() {
    let commands = async |server: &TestServer| {
        let fields = json!({ "id": "e-1" });
        server.record(&with(interaction("question", "answer"), &fields)).await;
        let page = server.get("/entries/e-1").await.text();
        assert!(page.contains("attestry get --raw e-1"), "{page}");
        ["jq -j .input_content", "jq -j .output_content"].map(|command| page.contains(command))
    };
    let server = TestServer::start().await;
    assert_eq!(commands(&server).await, [true, true]);
    let key = attestry::crypto::EncryptionManager::generate();
    let server = TestServer::with(|options| options, |open| open.encryption(key)).await;
    assert_eq!(commands(&server).await, [false, false]);
    let server = TestServer::with(|options| options, |open| open.store_content(false)).await;
    assert_eq!(commands(&server).await, [false, false]);
}

#[tokio::test]
async fn proof_from_the_viewer_is_valid() {
    let server = tampered().await;
    let line = server.get("/entries/good/line").await;
    let proof = server.get("/entries/good/proof").await;
    let proof: attestry::evidence::InclusionProof = proof.text().parse().unwrap();
    let key = SigningKey::from_file(server.folder.path().join("key")).unwrap();
    let leaf = attestry::evidence::line_hash(&line.body).unwrap();
    assert_eq!(proof.verify(leaf, &Policy::new(key.public())).unwrap().checkpoint().size(), 3);
    let lines =
        server.get("/entries.download?form=proofs&order=ascending&conversation_id=c").await.lines();
    let proven: Vec<_> = lines
        .iter()
        .map(|line| (line["id"].as_str().unwrap(), line["proof"].is_string()))
        .collect();
    assert_eq!(proven, [("good", true), ("content", false), ("field", false)]);
    assert_eq!(lines[0]["line"].as_str().unwrap().as_bytes(), &line.body[..]);
}

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
