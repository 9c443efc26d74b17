//! The access log in the viewer.

use crate::common::TestServer;
use crate::common::browser::Browser;
use attestry_serve::Role;

#[tokio::test]
async fn only_admins_see_the_access_log() {
    let server = TestServer::with_tokens().await;
    for role in [Role::Read, Role::Content] {
        let mut browser = Browser::logged_in(&server, role).await;
        let answer = browser.get(&server, "/access").await;
        assert_eq!(answer.status.as_u16(), 403);
        assert!(answer.text().contains("the role admin"), "{}", answer.text());
    }
    let mut browser = Browser::logged_in(&server, Role::Admin).await;
    let page = browser.get(&server, "/access").await;
    assert_eq!(page.status.as_u16(), 200);
    for role in Role::ALL {
        assert!(page.text().contains(&format!("<td>{role}</td>")), "{}", page.text());
        assert!(!page.text().contains(server.secret(role)));
        assert!(!page.text().contains(&attestry::hash_content(server.secret(role))));
    }
    let accesses = server.accesses().await;
    let last = accesses.last().unwrap();
    assert_eq!((&*last.0, &last.1, &*last.2), ("list", &"admin".into(), "/access"));
}

#[tokio::test]
async fn accesses_are_filtered_and_paged() {
    let server = TestServer::start().await;
    for number in 0..60 {
        server.get(&format!("/v1/entries?model=%3Cb%3E{number}")).await;
    }
    server.get("/v1/stats").await;
    let mut browser = Browser::default();
    let page = browser.get(&server, "/access?action=list&caller=anonymous").await.text();
    assert!(page.contains("model=%3Cb%3E59") && !page.contains("%3Cb%3E9<"), "{page}");
    assert!(!page.contains("/v1/stats"), "{page}");
    assert_eq!(page.matches("<tr data-item").count(), 50);
    let (_, next) = page.split_once("rel=\"next\" href=\"").unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&");
    let page = browser.get(&server, &next).await.text();
    assert!(page.contains("model=%3Cb%3E9<") && !page.contains("rel=\"next\""), "{page}");
    // The ten that are left; what was recorded since is newer.
    assert_eq!(page.matches("<tr data-item").count(), 10);
    let page = browser.get(&server, "/access?caller=other").await.text();
    assert!(page.contains("Nothing matches"), "{page}");
    let page = browser.get(&server, "/access?until=2026-01-01T00:00&since=").await.text();
    assert!(page.contains("Nothing matches"), "{page}");
    for wrong in ["/access?user=x", "/access?since=soon", "/access?after=x"] {
        assert_eq!(browser.get(&server, wrong).await.status.as_u16(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn store_without_an_access_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let logger = attestry::open_url("memory:").await.unwrap();
    let server = TestServer::serve(folder, logger, |options| options).await;
    let page = server.get("/access").await;
    assert!(page.text().contains("There is no access log"), "{}", page.text());
    let page = server.get("/integrity").await;
    assert!(page.text().contains("keeps no evidence"), "{}", page.text());
}
