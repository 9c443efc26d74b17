//! A server on a port of its own, and a client.

pub(crate) mod browser;
pub(crate) mod spans;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use attestry::AuditLogger;
use attestry_serve::{Handle, Limits, Role, ServeError, Server, ServerOptions, Token};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub(crate) const JSON: &str = "application/json";
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// A running server with a store of files.
pub(crate) struct TestServer {
    pub(crate) folder: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) grpc: Option<SocketAddr>,
    pub(crate) handle: Handle,
    running: JoinHandle<Result<(), ServeError>>,
    client: HyperClient<HttpConnector, Full<Bytes>>,
    secrets: Vec<(Role, String)>,
}

/// A response, with its whole body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The detail of a problem with this status.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        let json = self.json();
        assert_eq!(json["status"], status);
        json["detail"].as_str().unwrap().to_owned()
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(|options| options, |open| open).await
    }

    pub(crate) async fn with(
        options: impl FnOnce(ServerOptions) -> ServerOptions,
        open: impl FnOnce(attestry::OpenOptions) -> attestry::OpenOptions,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("audit");
        let logger = open(attestry::open(store).store_content(true)).await.unwrap();
        Self::serve(folder, logger, options).await
    }

    /// A server with a token of each role.
    pub(crate) async fn with_tokens() -> Self {
        Self::with_tokens_and(|options| options).await
    }

    pub(crate) async fn with_tokens_and(
        options: impl FnOnce(ServerOptions) -> ServerOptions,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, mut secrets) = (String::new(), Vec::new());
        for role in Role::ALL {
            let (token, secret) = Token::generate(role.as_str(), role).unwrap();
            file += &format!("{token}\n");
            secrets.push((role, secret));
        }
        let path = folder.path().join("tokens");
        std::fs::write(&path, file).unwrap();
        let logger = attestry::open(folder.path().join("audit")).store_content(true).await.unwrap();
        let mut server = Self::serve(folder, logger, |given| options(given.tokens(path))).await;
        server.secrets = secrets;
        server
    }

    pub(crate) async fn serve(
        folder: TempDir,
        logger: AuditLogger,
        options: impl FnOnce(ServerOptions) -> ServerOptions,
    ) -> Self {
        // However slow the machine is, a page has all that it searched for.
        let limits = Limits { search: Duration::from_secs(600), ..Limits::default() };
        let options = options(ServerOptions::new(([127, 0, 0, 1], 0).into()).limits(limits));
        let server = Server::bind(logger, options).await.unwrap();
        let (address, grpc) = (server.local_addr(), server.local_grpc_addr());
        let handle = server.handle();
        let running = tokio::spawn(server.run());
        let client = HyperClient::builder(TokioExecutor::new()).build_http();
        Self { folder, address, grpc, handle, running, client, secrets: Vec::new() }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    pub(crate) fn secret(&self, role: Role) -> &str {
        &self.secrets.iter().find(|(known, _)| *known == role).unwrap().1
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let response = self.client.request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Full::default()).unwrap()).await
    }

    pub(crate) async fn get_lines(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path).header("accept", NDJSON);
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path).body(Full::default()).unwrap()).await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Answer {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, content_type);
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, JSON, body.to_string()).await
    }

    /// Records an interaction on a server with tokens.
    pub(crate) async fn record_as_admin(&self, interaction: &Value) {
        let token = format!("Bearer {}", self.secret(Role::Admin));
        let request = self.request(Method::POST, "/v1/entries").header("authorization", token);
        let body = Full::from(interaction.to_string());
        let answer = self.send(request.header("content-type", JSON).body(body).unwrap()).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    }

    /// Records an interaction and returns its id.
    pub(crate) async fn record(&self, interaction: &Value) -> String {
        let answer = self.post_json("/v1/entries", interaction).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// The access log: action, name of the client, request and count of each entry, oldest first.
    pub(crate) async fn accesses(self) -> Vec<(String, Value, String, Value)> {
        let folder = self.shut_down().await;
        let log = attestry::open(folder.path().join("audit/.attestry/access")).read_only(true);
        let page = log.await.unwrap().page(attestry::Query::new()).await.unwrap();
        let entries = page.entries.into_iter().map(|entry| {
            (
                entry.model.clone().unwrap(),
                entry.metadata.get("user.id").cloned().unwrap_or_default(),
                entry.input_content.clone().unwrap(),
                entry.metadata.get("attestry.access.count").cloned().unwrap_or_default(),
            )
        });
        entries.collect()
    }

    /// The access log loses its folder: nothing can be appended.
    pub(crate) fn lose_access_log(&self) {
        let log = self.store().join(".attestry/access");
        std::fs::remove_dir_all(&log).unwrap();
        std::fs::write(&log, "").unwrap();
    }

    /// Shuts the server down; the folder stays.
    pub(crate) async fn shut_down(self) -> TempDir {
        self.handle.shut_down();
        drop(self.client);
        self.running.await.unwrap().unwrap();
        self.folder
    }
}

/// An interaction with these fields, too.
pub(crate) fn with(mut interaction: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        interaction[key] = value.clone();
    }
    interaction
}

pub(crate) fn interaction(input: &str, output: &str) -> Value {
    json!({ "input": input, "output": output, "provider": "openai", "model": "gpt-4" })
}

/// Every route with the roles that may use it.
pub(crate) const ROUTES: [(&str, &str, &str, &[Role]); 24] = [
    ("POST", "/v1/traces", "{}", &[Role::Record, Role::Admin]),
    ("POST", "/v1/logs", "{}", &[Role::Record, Role::Admin]),
    ("POST", "/v1/entries", r#"{"input":"a","output":"b"}"#, &[Role::Record, Role::Admin]),
    ("GET", "/v1/entries", "", READERS),
    ("GET", "/v1/entries?decrypt=true", "", &[Role::Content, Role::Admin]),
    ("GET", "/v1/entries?text_contains=x", "", &[Role::Content, Role::Admin]),
    ("GET", "/v1/entries?metadata=attestry.other", "", &[Role::Content, Role::Admin]),
    ("GET", "/v1/entries?metadata=attestry.source", "", READERS),
    ("DELETE", "/v1/entries?model=none&reason=x", "", &[Role::Admin]),
    ("GET", "/v1/entries/none", "", READERS),
    ("DELETE", "/v1/entries/none?reason=x", "", &[Role::Admin]),
    ("GET", "/v1/entries/none/proof", "", READERS),
    ("POST", "/v1/calls", r#"{"input":"a"}"#, &[Role::Record, Role::Admin]),
    ("POST", "/v1/calls/none/end", "{}", &[Role::Record, Role::Admin]),
    ("POST", "/v1/calls/none/output", "\"x\"", &[Role::Record, Role::Admin]),
    ("GET", "/v1/stats", "", READERS),
    ("GET", "/v1/stats?text_contains=x", "", &[Role::Content, Role::Admin]),
    ("GET", "/v1/stats?metadata=attestry.other", "", &[Role::Content, Role::Admin]),
    ("GET", "/v1/stats?by=model,metadata:attestry.other", "", &[Role::Content, Role::Admin]),
    ("GET", "/v1/verify", "", READERS),
    ("POST", "/v1/verify", "", READERS),
    ("GET", "/checkpoint", "", READERS),
    ("GET", "/tile/0/000.p/1", "", READERS),
    ("GET", "/metrics", "", READERS),
];
pub(crate) const READERS: &[Role] = &[Role::Read, Role::Content, Role::Admin];
