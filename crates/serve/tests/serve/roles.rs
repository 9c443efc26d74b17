//! What each role may do, and tokens.

use crate::common::{self, JSON, ROUTES, TestServer, interaction};
use attestry_serve::{Role, ServeError, Server, ServerOptions, Token};
use http::Method;
use http_body_util::Full;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn every_route_is_for_its_roles_only() {
    let server = TestServer::with_tokens().await;
    let send = async |method: &str, path: &str, body: &'static str, token: Option<&str>| {
        let mut request =
            server.request(method.parse().unwrap(), path).header("content-type", JSON);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        server.send(request.body(Full::from(body)).unwrap()).await
    };
    for (method, path, body, allowed) in ROUTES {
        for role in Role::ALL {
            let answer = send(method, path, body, Some(server.secret(role))).await;
            let forbidden = answer.status.as_u16() == 403;
            assert_eq!(forbidden, !allowed.contains(&role), "{method} {path} {role}");
        }
        for wrong in [None, Some("attestry_0"), Some("")] {
            let answer = send(method, path, body, wrong).await;
            if path == "/v1/traces" || path == "/v1/logs" {
                // Errors of OTLP have a form of their own.
                assert_eq!(answer.status.as_u16(), 401);
                continue;
            }
            answer.problem(401);
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    for open in ["/healthz", "/readyz"] {
        assert_eq!(server.get(open).await.status.as_u16(), 200);
    }
}

#[tokio::test]
async fn reader_sees_no_content() {
    let server = TestServer::with_tokens().await;
    let as_role = |role: Role, method: Method, path: &str| {
        let bearer = format!("Bearer {}", server.secret(role));
        server.request(method, path).header("authorization", bearer).header("content-type", JSON)
    };
    let mut interaction = interaction("secret question", "secret answer");
    interaction["metadata"] = json!({ "attestry.other": { "note": "secret note" } });
    let body = Full::from(interaction.to_string());
    let request = as_role(Role::Record, Method::POST, "/v1/entries").body(body).unwrap();
    let id = server.send(request).await.json()["id"].as_str().unwrap().to_owned();
    for (role, sees) in [(Role::Read, false), (Role::Content, true), (Role::Admin, true)] {
        for (path, accept) in [
            (format!("/v1/entries/{id}"), JSON),
            ("/v1/entries".to_owned(), JSON),
            ("/v1/entries".to_owned(), common::NDJSON),
        ] {
            let request = as_role(role, Method::GET, &path).header("accept", accept);
            let answer = server.send(request.body(Full::default()).unwrap()).await;
            assert_eq!(answer.status.as_u16(), 200);
            for secret in ["secret question", "secret answer", "secret note"] {
                assert_eq!(answer.text().contains(secret), sees, "{role} {path} {secret}");
            }
        }
    }
}

#[tokio::test]
async fn failed_authentication_is_in_the_access_log() {
    let server = TestServer::with_tokens().await;
    for _ in 0..50 {
        server.get("/v1/entries").await.problem(401);
    }
    let accesses = server.accesses().await;
    assert!(accesses.iter().all(|(action, ..)| action == "failed-authentication"));
    // In few entries: their number must not be up to clients without a token.
    let counts: Vec<_> = accesses.iter().map(|(.., count)| count.as_u64().unwrap()).collect();
    assert!((1..50).contains(&counts.len()), "{counts:?}");
    assert_eq!((counts[0], counts.iter().sum::<u64>()), (1, 50));
}

#[tokio::test]
async fn tokens_are_reloaded() {
    let server = TestServer::with_tokens().await;
    let (token, secret) = Token::generate("new", Role::Read).unwrap();
    let get = async |secret: &str| {
        let request = server.request(Method::GET, "/v1/entries");
        let request = request.header("authorization", format!("Bearer {secret}"));
        server.send(request.body(Full::default()).unwrap()).await.status.as_u16()
    };
    let path = server.folder.path().join("tokens");
    std::fs::write(&path, "not a token").unwrap();
    let error = server.handle.reload().await.unwrap_err();
    assert!(matches!(error, ServeError::Tokens { .. }));
    assert_eq!((get(server.secret(Role::Read)).await, get(&secret).await), (200, 401));
    std::fs::write(&path, format!("{token}\n")).unwrap();
    server.handle.reload().await.unwrap();
    assert_eq!((get(server.secret(Role::Read)).await, get(&secret).await), (401, 200));
}

#[tokio::test]
async fn exposed_address_needs_tls_and_tokens() {
    let everywhere = || ServerOptions::new(([0, 0, 0, 0], 0).into());
    let bind = async |options: ServerOptions| {
        let logger = attestry::open_url("memory:").await.unwrap();
        Server::bind(logger, options).await
    };
    let error = bind(everywhere()).await.unwrap_err();
    assert!(error.to_string().contains("without TLS and tokens"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    let (token, _) = Token::generate("a", Role::Read).unwrap();
    std::fs::write(&tokens, token.to_string()).unwrap();
    let error = bind(everywhere().tokens(tokens)).await.unwrap_err();
    assert!(error.to_string().contains("without TLS;"), "{error}");
    assert!(bind(everywhere().insecure(true)).await.is_ok());
}

/// A page of a site whose name points to this host must read nothing.
#[tokio::test]
async fn server_without_tokens_is_read_under_local_names_only() {
    let server = TestServer::start().await;
    let id = server.record(&interaction("a", "b")).await;
    for (host, status) in [("localhost:4318", 200), ("127.0.0.1", 200), ("evil.example:4318", 403)]
    {
        for path in ["/v1/entries", "/metrics", &format!("/v1/entries/{id}")] {
            let request = server.request(Method::GET, path).header("host", host);
            let answer = server.send(request.body(Full::default()).unwrap()).await;
            assert_eq!(answer.status.as_u16(), status, "{host} {path}");
        }
        // Programs record under any name.
        let request = server.request(Method::POST, "/v1/entries").header("host", host);
        let body = Full::from(interaction("a", "b").to_string());
        let answer = server.send(request.header("content-type", JSON).body(body).unwrap()).await;
        assert_eq!(answer.status.as_u16(), 201, "{host}");
    }
    // No browser leaves the name out.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    let server = TestServer::with(|options| options.insecure(true), |open| open).await;
    let request = server.request(Method::GET, "/v1/entries").header("host", "audit.example");
    assert_eq!(server.send(request.body(Full::default()).unwrap()).await.status.as_u16(), 200);
}
