//! The description of the API: committed, current, and of all routes.

use std::collections::BTreeMap;

use crate::common::{READERS, ROUTES, TestServer, interaction};
use attestry_serve::Role;
use serde_json::{Map, Value};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

async fn document(server: &TestServer) -> Value {
    server.get("/openapi.json").await.json()
}

#[tokio::test]
async fn committed_description_is_current() {
    let server = TestServer::start().await;
    let served = server.get("/openapi.json").await.text();
    if std::env::var_os("ATTESTRY_RENEW").is_some() {
        std::fs::write(COMMITTED, &served).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == served,
        "docs/openapi.json is not current; to renew it:\n\n    \
         ATTESTRY_RENEW=1 cargo test -p attestry-serve --test serve openapi"
    );
    assert_eq!(document(&server).await["openapi"], "3.1.0");
}

/// The roles of each operation, by method and path.
fn roles(document: &Value) -> BTreeMap<(String, String), Option<String>> {
    let mut roles = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let role = operation["security"][0]["token"][0].as_str().map(str::to_owned);
            roles.insert((method.to_uppercase(), path.clone()), role);
        }
    }
    roles
}

#[tokio::test]
async fn description_has_every_route_with_its_role() {
    let server = TestServer::start().await;
    let mut described = roles(&document(&server).await);
    for (method, path, _, allowed) in ROUTES {
        let path = path.split('?').next().unwrap();
        let path = match path.strip_prefix("/tile/") {
            Some(_) => "/tile/{path}".to_owned(),
            None => path.replace("/none", "/{id}"),
        };
        let role = described
            .get(&(method.to_owned(), path.clone()))
            .unwrap_or_else(|| panic!("{method} {path} is not described"));
        let expected = match role.as_deref() {
            Some("record") => &[Role::Record, Role::Admin][..],
            Some("read") => READERS,
            Some("admin") => &[Role::Admin],
            other => panic!("{method} {path} has the role {other:?}"),
        };
        // Decryption is a parameter that needs more.
        assert!(allowed.iter().all(|role| expected.contains(role)), "{method} {path}");
    }
    for (method, path, ..) in ROUTES {
        let path = path.split('?').next().unwrap().replace("/none", "/{id}");
        let path = if path.starts_with("/tile/") { "/tile/{path}".to_owned() } else { path };
        described.remove(&(method.to_owned(), path));
    }
    let open: Vec<_> = described.into_iter().map(|((_, path), role)| (path, role)).collect();
    let expected = ["/healthz", "/openapi.json", "/readyz"].map(|path| (path.to_owned(), None));
    assert_eq!(open, expected, "the matrix of roles in common/mod.rs has every other route");
}

#[tokio::test]
async fn schemas_fit_what_is_stored_and_accepted() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let properties = |name: &str| {
        let schema = &document["components"]["schemas"][name]["properties"];
        let mut names: Vec<_> = schema.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let id = server.record(&interaction("a", "b")).await;
    let entry = server.get(&format!("/v1/entries/{id}")).await.json();
    let mut stored: Vec<_> = entry.as_object().unwrap().keys().cloned().collect();
    stored.sort();
    assert_eq!(properties("Entry"), stored);
    // Every key is accepted, and there is no other one.
    let all: Map<String, Value> = properties("Interaction")
        .into_iter()
        .map(|name| {
            let value = if name == "input" || name == "output" { "x".into() } else { Value::Null };
            (name, value)
        })
        .collect();
    server.record(&all.into()).await;
    for (path, method) in [("/v1/entries", "get"), ("/v1/stats", "get")] {
        for parameter in document["paths"][path][method]["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            let answer = server.get(&format!("{path}?{name}=x")).await.text();
            assert!(!answer.contains("there is no parameter"), "{path} {name}");
        }
    }
}
