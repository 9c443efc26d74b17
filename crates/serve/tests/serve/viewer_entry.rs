//! The viewer: the page of an entry.

use crate::common::browser::Browser;
use crate::common::{TestServer, interaction, with};
use attestry::evidence::{EvidenceExt as _, EvidenceOptions, Policy, SigningKey};
use attestry_serve::Role;
use serde_json::{Value, json};

#[tokio::test]
async fn content_is_masked_until_it_is_asked_for() {
    let server = TestServer::with_tokens().await;
    let entry = with(
        interaction("secret question", "secret answer"),
        &json!({ "id": "e-1", "conversation_id": "c-1",
            "metadata": { "attestry.other": { "note": "secret note" } } }),
    );
    server.record_as_admin(&entry).await;
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
