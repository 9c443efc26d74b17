//! The viewer: the list of entries, its filters, pages and downloads.

use std::time::Duration;

use crate::common::browser::Browser;
use crate::common::{self, TestServer, interaction};
use attestry_serve::{Limits, Role};
use serde_json::{Value, json};

/// The ids of the rows of a page, in its order.
fn ids(page: &str) -> Vec<String> {
    let rows = page.split("<tr data-item").skip(1);
    rows.map(|row| row.split("/entries/").nth(1).unwrap().split('"').next().unwrap().to_owned())
        .collect()
}

/// The address of the first link with this `rel`.
fn link(page: &str, rel: &str) -> Option<String> {
    let (before, _) = page.split_once(&format!("\" rel=\"{rel}\""))?;
    Some(before.rsplit("href=\"").next().unwrap().replace("&amp;", "&"))
}

async fn record(server: &TestServer, id: &str, more: &Value) {
    let mut given = interaction("question", "answer");
    given["id"] = id.into();
    for (key, value) in more.as_object().unwrap() {
        given[key] = value.clone();
    }
    server.record(&given).await;
}

async fn get(server: &TestServer, path: &str) -> String {
    let answer = server.get(path).await;
    assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text());
    answer.text()
}

#[tokio::test]
async fn every_filter_is_in_the_address_and_in_the_form() {
    let server = TestServer::start().await;
    record(
        &server,
        "a",
        &json!({ "model": "m<1>", "provider": "p", "conversation_id": "c/1", "safety_passed": false,
            "detectors_triggered": ["pii"], "timestamp": "2026-01-28T09:15:00Z",
            "metadata": { "user.id": "u-17", "team": "search" } }),
    )
    .await;
    record(&server, "b", &json!({ "timestamp": "2026-01-29T09:15:00Z" })).await;
    for (filter, found, field) in [
        ("", "ba", ""),
        ("model=m%3C1%3E", "a", "value=\"m&lt;1&gt;\""),
        ("provider=p", "a", "value=\"p\""),
        ("conversation_id=c%2F1", "a", "value=\"c/1\""),
        ("safety_passed=false", "a", "<option value=\"false\" selected>"),
        ("safety_passed=true", "b", "<option value=\"true\" selected>"),
        ("detector=pii", "a", "value=\"pii\""),
        ("metadata=user.id%3Du-17&metadata=team", "a", "value=\"user.id=u-17\""),
        ("metadata=user.id%3Dother", "", "value=\"user.id=other\""),
        ("text_contains=question", "ba", "value=\"question\""),
        ("text_contains=%22", "", "value=\"&quot;\""),
        ("since=2026-01-29", "b", "value=\"2026-01-29T00:00:00\""),
        ("until=2026-01-29", "a", "value=\"2026-01-29T00:00:00\""),
        ("order=ascending", "ab", "value=\"ascending\""),
        ("phase=open", "", "<option value=\"open\" selected>"),
        ("limit=20", "ba", "<option value=\"20\" selected>"),
    ] {
        let page = get(&server, &format!("/entries?{filter}")).await;
        assert_eq!(ids(&page).concat(), found, "{filter}");
        assert!(page.contains(field), "{filter}: {page}");
    }
    let answer = server.get("/entries?modell=a").await;
    assert_eq!(answer.status.as_u16(), 400);
    assert!(answer.text().contains("there is no parameter"), "{}", answer.text());
    // A form sends its empty fields, too: the address that can be mailed has none.
    let answer = server.get("/entries?model=&provider=p&metadata=team&metadata=&limit=50").await;
    assert_eq!(answer.status.as_u16(), 303);
    let address = answer.headers["location"].to_str().unwrap();
    assert_eq!(ids(&get(&server, address).await), ["a"]);
    assert!(!address.contains("model="), "{address}");
}

#[tokio::test]
async fn pages_stay_where_they_are_while_entries_arrive() {
    let server = TestServer::start().await;
    for number in 0..50 {
        record(&server, &format!("e-{number:02}"), &json!({})).await;
    }
    let first = get(&server, "/entries?limit=20").await;
    assert_eq!((ids(&first).len(), &*ids(&first)[0]), (20, "e-49"));
    assert_eq!(link(&first, "prev"), None);
    let next = link(&first, "next").unwrap();
    let second = ids(&get(&server, &next).await);
    for number in 50..60 {
        record(&server, &format!("e-{number:02}"), &json!({})).await;
    }
    let page = get(&server, &next).await;
    assert_eq!(ids(&page), second);
    let last = get(&server, &link(&page, "next").unwrap()).await;
    assert_eq!((ids(&last).len(), link(&last, "next")), (10, None));
    let back = get(&server, &link(&last, "prev").unwrap()).await;
    assert_eq!(ids(&back), second);
    let newest = get(&server, &link(&back, "prev").unwrap()).await;
    assert_eq!(ids(&newest), ids(&first));
    // The other way round, all of them, without one that is twice or left out.
    let mut path = Some("/entries?limit=20&order=ascending".to_owned());
    let mut all = Vec::new();
    while let Some(next) = path {
        let page = get(&server, &next).await;
        all.extend(ids(&page));
        path = link(&page, "next");
    }
    assert_eq!(all, (0..60).map(|number| format!("e-{number:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn live_rows_are_those_after_the_newest() {
    let server = TestServer::start().await;
    record(&server, "e-1", &json!({})).await;
    let page = get(&server, "/entries?model=gpt-4&column=model").await;
    let live = page.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap();
    let live = live.replace("&amp;", "&");
    assert!(page.contains(" data-recorded"), "{page}");
    assert_eq!(get(&server, &live).await, "");
    record(&server, "e-2", &json!({})).await;
    record(&server, "e-3", &json!({ "model": "other" })).await;
    record(&server, "e-4", &json!({})).await;
    let rows = get(&server, &live).await;
    assert_eq!(ids(&rows), ["e-4", "e-2"]);
    assert_eq!(rows.matches("<td").count(), 4, "the columns are those of the page: {rows}");
    // Without a condition, that nothing has come is not on record. A search is, whatever it finds.
    let page = get(&server, "/entries").await;
    assert!(!page.contains(" data-recorded"), "{page}");
    let all = page.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(get(&server, &all.replace("&amp;", "&")).await, "");
    assert_eq!(get(&server, "/entries.newer?text_contains=nowhere").await, "");
    let accesses = server.accesses().await;
    let counts: Vec<_> =
        accesses.iter().map(|(_, _, request, count)| (request.contains("newer"), count)).collect();
    assert_eq!(
        counts,
        [
            (false, &json!(1)),
            (true, &json!(0)),
            (true, &json!(2)),
            (false, &json!(4)),
            (true, &json!(0))
        ]
    );
}

#[tokio::test]
async fn start_entry_with_an_end_is_no_row() {
    let server = TestServer::start().await;
    let start = server.post_json("/v1/calls", &json!({ "input": "a" })).await.json();
    let start = start["id"].as_str().unwrap().to_owned();
    assert!(get(&server, "/entries").await.contains("start entry"));
    server.post_json(&format!("/v1/calls/{start}/end"), &json!({ "output": "b" })).await;
    let page = get(&server, "/entries").await;
    assert!(!ids(&page).contains(&start), "{page}");
    assert_eq!(ids(&page).len(), 1);
    assert_eq!(ids(&get(&server, "/entries?phase=all").await).len(), 2);
}

#[tokio::test]
async fn columns_are_chosen_in_the_address() {
    let server = TestServer::start().await;
    record(&server, "a", &json!({ "metadata": { "team": "search", "attestry.tenant": "t" } }))
        .await;
    let page = get(&server, "/entries?column=tenant&column=metadata:team,unknown").await;
    let headings: Vec<_> = page.split("<th scope=\"col\"").skip(1).collect();
    assert_eq!(headings.len(), 3, "{page}");
    assert!(page.contains("<bdi>search</bdi>") && page.contains("<bdi>t</bdi>"), "{page}");
    assert!(!page.contains("<bdi>gpt-4</bdi>"));
}

#[tokio::test]
async fn selection_is_downloaded() {
    let server = TestServer::with_tokens().await;
    let mut recorder = interaction("=secret", "answer, \"b\"");
    recorder["id"] = "a".into();
    recorder["metadata"] = json!({ "attestry.other": { "note": "noted" } });
    let token = format!("Bearer {}", server.secret(Role::Admin));
    for (model, id) in [("m", "a"), ("other", "b")] {
        (recorder["model"], recorder["id"]) = (model.into(), id.into());
        let request = server.request(http::Method::POST, "/v1/entries");
        let request = request.header("content-type", common::JSON).header("authorization", &token);
        let body = http_body_util::Full::from(recorder.to_string());
        assert_eq!(server.send(request.body(body).unwrap()).await.status.as_u16(), 201);
    }
    let mut reader = Browser::logged_in(&server, Role::Read).await;
    let mut auditor = Browser::logged_in(&server, Role::Content).await;
    let path = "/entries.download?model=m&form=jsonl";
    let lines = reader.get(&server, path).await;
    assert_eq!(lines.headers["content-disposition"], "attachment; filename=\"attestry.jsonl\"");
    let lines = lines.lines();
    assert_eq!((lines.len(), &lines[0]["id"]), (1, &json!("a")));
    for browser in [&mut reader, &mut auditor] {
        let text = browser.get(&server, path).await.text();
        assert!(!text.contains("secret") && !text.contains("noted"), "{text}");
    }
    let with_content = format!("{path}&content=true");
    assert_eq!(reader.get(&server, &with_content).await.status.as_u16(), 403);
    let lines = auditor.get(&server, &with_content).await.lines();
    assert_eq!(lines[0]["input_content"], "=secret");
    let path = "/entries.download?form=csv&content=true&model=m";
    let csv = auditor.get(&server, path).await.text();
    let rows: Vec<_> = csv.split("\r\n").collect();
    assert!(rows[0].starts_with("\"id\",\"timestamp\","), "{csv}");
    assert!(
        rows[1].starts_with("\"a\",") && rows[1].contains(",\"'=secret\",\"answer, \"\"b\"\"\","),
        "{csv}"
    );
    assert_eq!(rows.len(), 3);
    assert_eq!(auditor.get(&server, "/entries.download").await.status.as_u16(), 400);
    let accesses = server.accesses().await;
    let actions: Vec<_> = accesses.iter().map(|(action, name, ..)| (&**action, name)).collect();
    let decrypted = ("decrypt", &json!("content"));
    assert_eq!(actions.iter().filter(|access| **access == decrypted).count(), 4, "{actions:?}");
}

#[tokio::test]
async fn long_search_shows_what_it_found_and_can_be_continued() {
    let limits = Limits { search: Duration::ZERO, ..Limits::default() };
    let server = TestServer::with(|options| options.limits(limits), |open| open).await;
    record(&server, "a", &json!({ "model": "rare" })).await;
    let page = get(&server, "/entries?model=rare").await;
    assert!(ids(&page).is_empty() && page.contains("The search is not over"), "{page}");
    let all = "/entries?model=rare&amp;phase=latest&amp;order=descending&amp;search=all";
    assert!(page.contains(&format!("href=\"{all}\"")), "{page}");
    let page = get(&server, &all.replace("&amp;", "&")).await;
    assert_eq!(ids(&page), ["a"]);
    assert!(!page.contains("The search is not over"));
}
