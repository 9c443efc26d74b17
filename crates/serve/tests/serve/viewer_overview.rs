//! The overview of the viewer: each number is that of the API, and of the entries that it links to.

use std::time::Duration;

use crate::common::browser::Browser;
use crate::common::{self, TestServer, interaction};
use attestry::Timestamp;
use attestry_serve::Role;
use serde_json::{Value, json};

/// Waits until the overview has what `expected` says.
async fn overview(server: &TestServer, path: &str, expected: impl Fn(&str) -> bool) -> String {
    loop {
        let page = server.get(path).await;
        assert_eq!(page.status.as_u16(), 200, "{}", page.text());
        if expected(&page.text()) && !page.text().contains("data-incomplete") {
            return page.text();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The address and the text of each link to entries.
fn links(page: &str) -> Vec<(String, String)> {
    let anchors = page.split("<a ").skip(1).filter_map(|rest| {
        let (attributes, rest) = rest.split_once('>')?;
        let (_, address) = attributes.split_once("href=\"/entries?")?;
        let address = address.split('"').next()?.replace("&amp;", "&");
        Some((address, rest.split("</a>").next()?.to_owned()))
    });
    anchors.collect()
}

/// The number, if the text of a link is one.
fn number(text: &str) -> Option<u64> {
    text.replace(',', "").parse().ok()
}

/// The text of the card called `label`.
fn card(page: &str, label: &str) -> String {
    let end = page.find(&format!("</a><span>{label}")).unwrap_or_else(|| panic!("{label}: {page}"));
    page[..end].rsplit('>').next().unwrap().to_owned()
}

async fn count(server: &TestServer, query: &str) -> u64 {
    let answer = server.get(&format!("/v1/entries?{query}&limit=1000")).await;
    assert_eq!(answer.status.as_u16(), 200, "{query}: {}", answer.text());
    answer.json()["entries"].as_array().unwrap().len() as u64
}

fn at(micros_ago: i64) -> String {
    let time = Timestamp::now().unix_micros() - micros_ago;
    Timestamp::from_unix_micros(time).unwrap().to_string()
}

const HOUR: i64 = 3_600_000_000;

/// Interactions of the last ten days.
fn interactions() -> Vec<Value> {
    let outcomes = ["failed", "cut_off", "abandoned", "blocked"];
    (0..60_usize)
        .map(|n| {
            let mut one = interaction(&format!("question {n}"), "answer");
            one["timestamp"] = at(n as i64 * 4 * HOUR).into();
            one["model"] = format!("model-{}", n % 3).into();
            one["latency_ms"] = (10 + n * 7).into();
            one["input_tokens"] = (n * 13).into();
            one["output_tokens"] = n.into();
            one["safety_passed"] = (n % 5 > 0).into();
            one["detectors_triggered"] = json!(if n % 5 > 0 { vec![] } else { vec!["pii & <b>"] });
            one["metadata"] = json!({ "user.id": if n % 2 == 0 { "17" } else { "u \"é\" &" } });
            if let Some(outcome) = outcomes.get(n % 9) {
                one["metadata"]["attestry.outcome"] = (*outcome).into();
            }
            one
        })
        .collect()
}

#[tokio::test]
async fn every_number_links_to_the_entries_that_it_counts() {
    let server = TestServer::start().await;
    let lines: String = interactions().iter().map(|one| format!("{one}\n")).collect();
    assert_eq!(server.post("/v1/entries", common::NDJSON, lines).await.status.as_u16(), 200);
    server.post_json("/v1/calls", &json!({ "input": "open", "model": "model-0" })).await;
    for (path, calls) in [("/?last=all", 61), ("/?last=1h", 2), ("/?last=30d", 61)] {
        let page = overview(&server, path, |page| card(page, "Calls") == calls.to_string()).await;
        let mut counted = 0;
        for (query, text) in links(&page) {
            let is_sum = ["Input tokens", "Output tokens"].map(|label| card(&page, label) == text);
            if let Some(expected) = number(&text).filter(|_| is_sum == [false, false]) {
                assert_eq!(count(&server, &query).await, expected, "{path}: {query}");
                counted += 1;
            }
        }
        assert!(counted > 5, "{counted}");
        let (range, _) = links(&page).into_iter().next().unwrap();
        let stats = server.get(&format!("/v1/stats?{range}")).await.json()["total"].clone();
        assert_eq!(stats["entries"], calls);
        for (label, key) in [("Input tokens", "input_tokens"), ("Output tokens", "output_tokens")] {
            assert_eq!(number(&card(&page, label)), stats[key].as_u64(), "{path}: {label}");
        }
        assert_eq!(number(&card(&page, "Failed safety checks")), stats["safety_failed"].as_u64());
        assert_eq!(card(&page, "Without an end"), "1");
        assert!(!page.contains("<b>"), "{page}");
    }
}

#[tokio::test]
async fn late_and_erased_entries_are_counted_right() {
    let server = TestServer::start().await;
    let ids = [0, 5, 30].map(|hours| {
        let mut one = interaction("a", "b");
        one["timestamp"] = at(hours * HOUR).into();
        one
    });
    let mut recorded = Vec::new();
    for one in &ids {
        recorded.push(server.record(one).await);
    }
    overview(&server, "/?last=all", |page| card(page, "Calls") == "3").await;
    // Older than everything that was counted.
    let mut late = interaction("late", "b");
    late["timestamp"] = at(100 * HOUR).into();
    server.record(&late).await;
    overview(&server, "/?last=all", |page| card(page, "Calls") == "4").await;
    server.delete(&format!("/v1/entries/{}?reason=x", recorded[1])).await;
    overview(&server, "/?last=all", |page| card(page, "Calls") == "3").await;
    overview(&server, "/?last=24h", |page| card(page, "Calls") == "1").await;
}

#[tokio::test]
async fn range_without_calls_says_where_they_are() {
    let server = TestServer::start().await;
    overview(&server, "/", |page| page.contains("no entries yet")).await;
    let mut old = interaction("a", "b");
    old["timestamp"] = "2026-01-28T09:15:00".into();
    server.record(&old).await;
    // Without a range, everything is shown rather than nothing.
    overview(&server, "/", |page| page.contains("Calls over time")).await;
    let page = overview(&server, "/?last=24h", |page| page.contains("No calls")).await;
    assert!(page.contains("2026-01-28 09:15:00"), "{page}");
    let exact = "/?since=2026-01-28T09%3A00&until=2026-01-28T09%3A30";
    let page = overview(&server, exact, |page| page.contains("Calls over time")).await;
    assert!(
        page.contains(">2026-01-28 00:00:00") && page.contains(">2026-01-28 23:59:59"),
        "{page}"
    );
    assert!(page.contains("since=2026-01-28T00:00:00&amp;until=2026-01-28T23:59:59"), "{page}");
    for wrong in ["/?last=2h", "/?since=soon", "/?model=x"] {
        assert_eq!(server.get(wrong).await.status.as_u16(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn overview_needs_a_role_that_reads_and_is_recorded() {
    let server = TestServer::with_tokens().await;
    for role in common::READERS {
        let mut browser = Browser::logged_in(&server, *role).await;
        assert_eq!(browser.get(&server, "/?last=7d").await.status.as_u16(), 200);
        let is_shown = browser.get(&server, "/").await.text().contains("href=\"/access\"");
        assert_eq!(is_shown, *role == Role::Admin);
    }
    assert_eq!(server.get("/").await.status.as_u16(), 303);
    let accesses = server.accesses().await;
    let seen: Vec<_> = accesses.iter().filter(|access| access.2 == "/?last=7d").collect();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|(action, ..)| action == "stats"));
    assert_eq!(seen[0].1, "read");
}
