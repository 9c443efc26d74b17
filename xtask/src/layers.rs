//! Which crate may depend on which: dependencies point down only.

use crate::cmd::Result;
use crate::modules;
use crate::workspace::{Package, Workspace};

/// Each crate with the crates of the workspace it may depend on; `?` marks those that must be optional.
/// Dev-dependencies are free, except for [`TESTS_WITHOUT`].
const ALLOWED: &[(&str, &[&str])] = &[
    ("attestry-core", &[]),
    ("attestry-keyfile", &[]),
    ("attestry-crypto", &["attestry-keyfile"]),
    ("attestry-evidence", &["attestry-core", "attestry-keyfile"]),
    ("attestry-memory", &["attestry-core"]),
    ("attestry-file", &["attestry-core", "attestry-evidence?"]),
    ("attestry-s3", &["attestry-core"]),
    ("attestry-anchor", &["attestry-core", "attestry-evidence", "attestry-file"]),
    ("attestry-conformance", &["attestry-core"]),
    ("attestry-logger", &["attestry-core", "attestry-crypto?", "attestry-keyfile"]),
    ("attestry-genai", &["attestry-core", "attestry-logger"]),
    ("attestry-tracing", &["attestry-core", "attestry-logger"]),
    (
        "attestry",
        &[
            "attestry-core",
            "attestry-logger",
            "attestry-anchor?",
            "attestry-crypto?",
            "attestry-evidence?",
            "attestry-memory?",
            "attestry-file?",
            "attestry-s3?",
        ],
    ),
    ("attestry-serve", &["attestry", "attestry-genai"]),
    ("attestry-cli", &["attestry", "attestry-genai", "attestry-serve?"]),
    (
        "attestry-torture",
        &[
            "attestry-core",
            "attestry-evidence",
            "attestry-file",
            "attestry-anchor",
            "attestry-logger",
        ],
    ),
    ("attestry-costs", &["attestry"]),
    ("xtask", &[]),
];

/// Crates whose tests must not depend on these either: the contract is tested without its backends.
const TESTS_WITHOUT: &[(&str, &[&str])] =
    &[("attestry-core", &["attestry-memory", "attestry-file", "attestry-s3"])];

/// Fails on a forbidden dependency between crates or import between modules, and names all of them.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let mut problems = problems(&workspace.packages);
    problems.extend(modules::problems(workspace)?);
    if problems.is_empty() {
        println!("  {} crates, every import points down", workspace.packages.len());
        return Ok(());
    }
    Err(format!(
        "{}\n\ndocs/architecture.md describes the layers; the allowed edges are in xtask/src/layers.rs \
         (crates) and xtask/src/modules.rs (modules). To repeat:\n\n    cargo xtask layers",
        problems.join("\n")
    )
    .into())
}

fn problems(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(|package| problems_of(package, packages)).collect()
}

fn problems_of(package: &Package, packages: &[Package]) -> Vec<String> {
    let name = &package.name;
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| known == name) else {
        return vec![format!(
            "{name} has no layer: add its allowed dependencies to xtask/src/layers.rs"
        )];
    };
    let without =
        TESTS_WITHOUT.iter().find(|(known, _)| known == name).map_or(&[][..], |row| row.1);
    let ours = package.dependencies.iter().filter(|d| packages.iter().any(|p| p.name == d.name));
    let mut found = Vec::new();
    for dependency in ours {
        let used = &dependency.name;
        if dependency.dev {
            if without.contains(&used.as_str()) {
                found.push(format!("{name} must not depend on {used}, not even in its tests"));
            }
        } else if allowed.contains(&format!("{used}?").as_str()) {
            if !dependency.optional {
                found.push(format!("{name} must depend on {used} only behind a feature"));
            }
        } else if !allowed.contains(&used.as_str()) {
            found.push(format!("{name} must not depend on {used}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::workspace::packages;

    /// The problems of a workspace in which `name` has these dependencies.
    fn found(name: &str, dependencies: &Value) -> Vec<String> {
        let mut all: Vec<Value> = ALLOWED
            .iter()
            .filter(|(known, _)| *known != name)
            .map(|(known, _)| json!({"name": known, "publish": null, "features": {}, "dependencies": []}))
            .collect();
        all.push(
            json!({"name": name, "publish": null, "features": {}, "dependencies": dependencies}),
        );
        problems(&packages(&json!({ "packages": all })).unwrap())
    }

    #[test]
    fn downward_dependencies_are_allowed() {
        let to = |name: &str, kind: Value, optional: bool| json!({"name": name, "kind": kind, "optional": optional});
        let down =
            json!([to("attestry-core", Value::Null, false), to("serde", Value::Null, false)]);
        assert!(found("attestry-file", &down).is_empty());
        let optional = json!([to("attestry-crypto", Value::Null, true)]);
        assert!(found("attestry-logger", &optional).is_empty());
        let tests = json!([to("attestry-conformance", json!("dev"), false)]);
        assert!(found("attestry-file", &tests).is_empty());
    }

    #[test]
    fn upward_and_sideways_dependencies_are_named() {
        for (name, used, kind, optional, expected) in [
            (
                "attestry-core",
                "attestry-crypto",
                Value::Null,
                false,
                "attestry-core must not depend on attestry-crypto",
            ),
            (
                "attestry-crypto",
                "attestry-core",
                json!("build"),
                false,
                "attestry-crypto must not depend on attestry-core",
            ),
            (
                "attestry-file",
                "attestry-memory",
                Value::Null,
                true,
                "attestry-file must not depend on attestry-memory",
            ),
            ("attestry-core", "attestry-memory", json!("dev"), false, "not even in its tests"),
            ("attestry-logger", "attestry-crypto", Value::Null, false, "only behind a feature"),
            (
                "attestry-cli",
                "attestry-file",
                Value::Null,
                false,
                "attestry-cli must not depend on attestry-file",
            ),
            ("attestry-new", "serde", Value::Null, false, "attestry-new has no layer"),
        ] {
            let dependencies = json!([{"name": used, "kind": kind, "optional": optional}]);
            let found = found(name, &dependencies);
            assert!(found.len() == 1 && found[0].contains(expected), "{name}: {found:?}");
        }
    }
}
