//! The viewer: log-in and log-out, and what a form of another site can do.

use crate::common::browser::Browser;
use crate::common::{self, TestServer, interaction};
use attestry_serve::{Role, Token};
use http::Method;
use http_body_util::Full;

#[tokio::test]
async fn token_begins_a_session() {
    let server = TestServer::with_tokens().await;
    let mut browser = Browser::default();
    let refused = browser.get(&server, "/entries?model=a%20b").await;
    assert_eq!(refused.status.as_u16(), 303);
    assert_eq!(refused.headers["location"], "/login?next=%2Fentries%3Fmodel%3Da%2520b");
    let form = browser.get(&server, "/login?next=%2Fentries%3Fmodel%3Da").await;
    assert_eq!(form.status.as_u16(), 200);
    assert!(form.text().contains("name=\"next\" value=\"/entries?model=a\""), "{}", form.text());
    let visitor = browser.cookie.clone();
    let secret = server.secret(Role::Read).to_owned();
    let fields = [("token", secret.as_str()), ("next", "/entries?model=a")];
    let answer = browser.post(&server, "/login", &fields).await;
    assert_eq!(answer.status.as_u16(), 303, "{}", answer.text());
    assert_eq!(answer.headers["location"], "/entries?model=a");
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_ne!(browser.cookie, visitor, "a session gets a new cookie");
    let page = browser.get(&server, "/entries").await;
    assert_eq!(page.status.as_u16(), 200);
    assert!(page.text().contains("read (read)"), "{}", page.text());
    assert!(!page.text().contains(&secret));
}

#[tokio::test]
async fn no_cookie_is_accepted_after_log_out() {
    let server = TestServer::with_tokens().await;
    let mut browser = Browser::logged_in(&server, Role::Content).await;
    let cookie = browser.cookie.clone();
    assert_eq!(browser.get(&server, "/entries").await.status.as_u16(), 200);
    let answer = browser.post(&server, "/logout", &[]).await;
    assert_eq!(answer.headers["location"], "/login");
    assert!(answer.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(browser.cookie, None);
    let mut thief = Browser { cookie, ..Browser::default() };
    assert_eq!(thief.get(&server, "/entries").await.status.as_u16(), 303);
    // No GET logs out: an image on a page of another site could.
    assert_eq!(thief.get(&server, "/logout").await.status.as_u16(), 405);
}

#[tokio::test]
async fn token_of_the_role_record_sees_nothing() {
    let server = TestServer::with_tokens().await;
    let mut browser = Browser::default();
    let answer = browser.log_in(&server, server.secret(Role::Record)).await;
    assert_eq!(answer.status.as_u16(), 403);
    assert!(answer.text().contains("the role read"), "{}", answer.text());
    assert_eq!(browser.get(&server, "/entries").await.status.as_u16(), 303);
}

#[tokio::test]
async fn log_ins_are_in_the_access_log() {
    let server = TestServer::with_tokens().await;
    let mut browser = Browser::logged_in(&server, Role::Read).await;
    browser.get(&server, "/entries?model=m").await;
    browser.post(&server, "/logout", &[]).await;
    let answer = browser.log_in(&server, "wrong").await;
    assert_eq!(answer.status.as_u16(), 401);
    assert!(answer.text().contains("The token is not known"), "{}", answer.text());
    let accesses = server.accesses().await;
    let actions: Vec<_> = accesses.iter().map(|(action, ..)| action.as_str()).collect();
    assert_eq!(actions, ["log-in", "list", "log-out", "failed-authentication"]);
    assert_eq!((&accesses[1].1, &*accesses[1].2), (&"read".into(), "/entries?model=m"));
    assert!(accesses.iter().all(|(.., request, _)| !request.contains("wrong")));
}

#[tokio::test]
async fn session_ends_with_its_token() {
    let server = TestServer::with_tokens().await;
    let mut browser = Browser::logged_in(&server, Role::Read).await;
    let (token, _) = Token::generate("other", Role::Read).unwrap();
    std::fs::write(server.folder.path().join("tokens"), token.to_string()).unwrap();
    server.handle.reload().await.unwrap();
    assert_eq!(browser.get(&server, "/entries").await.status.as_u16(), 303);
}

#[tokio::test]
async fn one_time_address_logs_one_browser_in() {
    let (token, secret) = Token::generate("viewer", Role::Content).unwrap();
    let server = TestServer::with(|options| options.one_time_login(token), |open| open).await;
    let path = format!("/login?once={secret}");
    // All others need a token, although no file of tokens is configured.
    server.get("/v1/entries").await.problem(401);
    let request = server.request(Method::GET, "/v1/entries");
    let request = request.header("authorization", format!("Bearer {secret}"));
    server.send(request.body(Full::default()).unwrap()).await.problem(401);
    let (mut browser, mut other) = (Browser::default(), Browser::default());
    let answer = browser.get(&server, &path).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["location"]), (303, &"/".parse().unwrap()));
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    assert_eq!(browser.get(&server, "/entries").await.status.as_u16(), 200);
    let answer = other.get(&server, &path).await;
    assert_eq!(answer.status.as_u16(), 401);
    assert!(answer.text().contains("was used already"), "{}", answer.text());
    assert_eq!(other.get(&server, "/entries").await.status.as_u16(), 303);
}

#[tokio::test]
async fn one_time_address_stays_good_if_the_log_in_cannot_be_recorded() {
    let (token, secret) = Token::generate("viewer", Role::Content).unwrap();
    let server = TestServer::with(|options| options.one_time_login(token), |open| open).await;
    server.lose_access_log();
    for _ in 0..2 {
        let mut browser = Browser::default();
        let answer = browser.get(&server, &format!("/login?once={secret}")).await;
        assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
        assert_eq!(browser.get(&server, "/entries").await.status.as_u16(), 303);
    }
}

#[tokio::test]
async fn only_a_bearer_token_replaces_the_token_of_a_form() {
    let servers = [TestServer::start().await, TestServer::with_tokens().await];
    for (server, has_tokens) in servers.iter().zip([false, true]) {
        // A browser adds credentials of this kind by itself.
        let basic = "Basic dXNlcjpwYXNz".to_owned();
        let bearer = if has_tokens { server.secret(Role::Read) } else { "x" };
        for (header, is_allowed) in [(basic, false), (format!("Bearer {bearer}"), has_tokens)] {
            let headers = [("authorization", &*header), ("sec-fetch-site", "cross-site")];
            let answer = Browser::default().post_raw(server, "/logout", &[], &headers).await;
            let status = if is_allowed { 303 } else { 403 };
            assert_eq!(answer.status.as_u16(), status, "{header}");
        }
    }
}

#[tokio::test]
async fn form_of_another_site_is_refused() {
    let server = TestServer::with_tokens().await;
    let mut browser = Browser::logged_in(&server, Role::Read).await;
    browser.get(&server, "/entries").await;
    let token = browser.form_token.clone();
    let right = [("form_token", token.as_str())];
    let origin = format!("http://{}", server.address);
    let mut other = Browser::logged_in(&server, Role::Read).await;
    other.get(&server, "/entries").await;
    let other = other.form_token;
    for (fields, headers) in [
        (&[][..], &[][..]),
        (&[("form_token", "")], &[("sec-fetch-site", "same-origin")]),
        (&[("form_token", other.as_str())], &[("sec-fetch-site", "same-origin")]),
        (&right, &[("sec-fetch-site", "cross-site")]),
        (&right, &[("sec-fetch-site", "same-site")]),
        (&right, &[("origin", "http://evil.example")]),
        (&right, &[("origin", "null")]),
    ] {
        let answer = browser.post_raw(&server, "/logout", fields, headers).await;
        assert_eq!(answer.status.as_u16(), 403, "{fields:?} {headers:?}");
    }
    assert_eq!(browser.get(&server, "/entries").await.status.as_u16(), 200);
    let answer = browser.post_raw(&server, "/logout", &right, &[("origin", &origin)]).await;
    assert_eq!(answer.status.as_u16(), 303);
}

#[tokio::test]
async fn server_without_tokens_answers_local_names_only() {
    let server = TestServer::start().await;
    server.record(&interaction("a", "b")).await;
    for (host, status) in [
        ("localhost:4318", 200),
        ("LOCALHOST", 200),
        ("app.localhost", 200),
        ("127.0.0.1", 200),
        ("[::1]:4318", 200),
        ("evil.example", 403),
        ("evil.example:4318", 403),
        ("localhost.evil.example", 403),
        ("", 403),
    ] {
        let answer = Browser::default().get_with(&server, "/entries", &[("host", host)]).await;
        assert_eq!(answer.status.as_u16(), status, "{host}");
    }
    // Nor does the API, but for what records.
    for (method, path, body, _) in common::ROUTES {
        let records = method == "POST" && path != "/v1/verify";
        let send = async |name: &str, value: &str| {
            let request = server.request(method.parse().unwrap(), path);
            let request = request.header("content-type", common::JSON).header(name, value);
            let answer = server.send(request.body(Full::from(body)).unwrap()).await;
            answer.status.as_u16() == 403
        };
        assert_eq!(send("host", "evil.example:4318").await, !records, "{method} {path}");
        assert!(!send("host", "localhost:4318").await, "{method} {path}");
        for site in ["cross-site", "same-site", "same-origin", "none"] {
            let refused = method != "GET" && site.ends_with("-site");
            assert_eq!(send("sec-fetch-site", site).await, refused, "{method} {path} {site}");
        }
        assert_eq!(send("origin", "http://evil.example").await, method != "GET", "{method} {path}");
    }
    // There is nothing to log in to, and forms are protected all the same.
    let mut browser = Browser::default();
    assert_eq!(browser.get(&server, "/login").await.status.as_u16(), 303);
    let answer = browser.post_raw(&server, "/login", &[("token", "x")], &[]).await;
    assert_eq!(answer.status.as_u16(), 403);
}

#[tokio::test]
async fn mailed_link_is_asked_for_again_with_the_cookie() {
    let server = TestServer::with_tokens().await;
    let session = Browser::logged_in(&server, Role::Read).await;
    let from_other = [("sec-fetch-site", "cross-site")];
    let mut link = Browser::default();
    let answer = link.get_with(&server, "/entries?model=a&limit=5", &from_other).await;
    assert_eq!(answer.status.as_u16(), 200);
    let refresh = "content=\"0; url=/entries?model=a&amp;limit=5\"";
    assert!(answer.text().contains(refresh), "{}", answer.text());
    // It must not replace the cookie of the session, which the browser has but did not send.
    assert!(!answer.headers.contains_key("set-cookie"));
    assert!(session.cookie.is_some());
}

#[tokio::test]
async fn files_are_kept_by_the_browser_under_their_hash() {
    let server = TestServer::start().await;
    let page = server.get("/entries").await.text();
    let mut found = 0;
    for part in page.split('"').filter(|part| part.starts_with("/assets/")) {
        let file = server.get(part).await;
        assert_eq!(file.status.as_u16(), 200, "{part}");
        assert!(file.headers["cache-control"].to_str().unwrap().contains("immutable"));
        let etag = file.headers["etag"].to_str().unwrap();
        assert!(part.contains(etag.trim_matches('"')));
        let request = server.request(Method::GET, part).header("if-none-match", etag);
        let again = server.send(request.body(Full::default()).unwrap()).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
        found += 1;
    }
    assert_eq!(found, 3);
    assert_eq!(server.get("/assets/style.0.css").await.status.as_u16(), 404);
}
