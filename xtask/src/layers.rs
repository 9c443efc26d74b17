//! Which crate may use which. Arrows point down only; a crate never names one above it. And what
//! we use of others is accounted for.

use crate::cmd::Result;
use crate::workspace::{Package, Workspace};

/// Each crate of ours with the crates of ours it may use. `?` marks those that must be optional.
///
/// Tests may use more, since they are not what others compile; but see [`TESTS_WITHOUT`].
const ALLOWED: &[(&str, &[&str])] = &[
    ("attestry-core", &[]),
    ("attestry-crypto", &[]),
    ("attestry-evidence", &["attestry-core"]),
    ("attestry-memory", &["attestry-core"]),
    ("attestry-file", &["attestry-core", "attestry-evidence?"]),
    ("attestry-s3", &["attestry-core"]),
    ("attestry-conformance", &["attestry-core"]),
    ("attestry-logger", &["attestry-core", "attestry-crypto?"]),
    (
        "attestry",
        &[
            "attestry-core",
            "attestry-logger",
            "attestry-crypto?",
            "attestry-evidence?",
            "attestry-memory?",
            "attestry-file?",
            "attestry-s3?",
        ],
    ),
    ("attestry-cli", &["attestry"]),
    ("attestry-torture", &["attestry-core", "attestry-evidence", "attestry-file"]),
    ("attestry-costs", &["attestry"]),
    ("xtask", &[]),
];

/// Crates whose tests must do without these too: the contract is tested without its backends.
const TESTS_WITHOUT: &[(&str, &[&str])] =
    &[("attestry-core", &["attestry-memory", "attestry-file", "attestry-s3"])];

/// Fails when a crate uses one it may not use, naming every such case.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let problems = problems(&workspace.packages);
    if problems.is_empty() {
        println!("  {} crates, every dependency points down", workspace.packages.len());
        return Ok(());
    }
    Err(format!(
        "{}\n\nThe layers are in docs/architecture.md, what is allowed in xtask/src/layers.rs; \
         to see it again:\n\n    cargo xtask layers",
        problems.join("\n")
    )
    .into())
}

/// Fails when a dependency is used that `docs/dependencies.md` does not account for.
pub(crate) fn documented(workspace: &Workspace) -> Result {
    let page = std::fs::read_to_string(workspace.path("docs/dependencies.md"))
        .map_err(|error| format!("cannot read docs/dependencies.md: {error}"))?;
    let missing = undocumented(&workspace.packages, &page);
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("say in docs/dependencies.md what these are for: {}", missing.join(", ")).into())
}

fn undocumented<'a>(packages: &'a [Package], page: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = packages
        .iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| dependency.name.as_str())
        .filter(|name| packages.iter().all(|package| package.name != *name))
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn problems(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(|package| problems_of(package, packages)).collect()
}

fn problems_of(package: &Package, packages: &[Package]) -> Vec<String> {
    let name = &package.name;
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| known == name) else {
        return vec![format!("{name} is new: say in xtask/src/layers.rs what it may use")];
    };
    let without =
        TESTS_WITHOUT.iter().find(|(known, _)| known == name).map_or(&[][..], |row| row.1);
    let ours = package.dependencies.iter().filter(|d| packages.iter().any(|p| p.name == d.name));
    let mut found = Vec::new();
    for dependency in ours {
        let used = &dependency.name;
        if dependency.dev {
            if without.contains(&used.as_str()) {
                found.push(format!("{name} must not use {used}, not even in its tests"));
            }
        } else if allowed.contains(&format!("{used}?").as_str()) {
            if !dependency.optional {
                found.push(format!("{name} must use {used} only behind a feature"));
            }
        } else if !allowed.contains(&used.as_str()) {
            found.push(format!("{name} must not use {used}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::workspace::packages;

    /// A workspace in which `name` has these dependencies.
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
    fn what_points_down_is_allowed() {
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
    fn what_no_page_accounts_for_is_named() {
        let uses = json!([{"name": "serde"}, {"name": "subtle"}, {"name": "attestry-core"}]);
        let packages = packages(&json!({"packages": [
            {"name": "attestry-core", "features": {}, "dependencies": uses},
            {"name": "attestry-file", "features": {}, "dependencies": uses},
        ]}))
        .unwrap();
        assert_eq!(undocumented(&packages, "| `serde` | for lines |"), ["subtle"]);
    }

    #[test]
    fn what_points_up_or_sideways_is_named() {
        for (name, used, kind, optional, expected) in [
            (
                "attestry-core",
                "attestry-crypto",
                Value::Null,
                false,
                "attestry-core must not use attestry-crypto",
            ),
            (
                "attestry-crypto",
                "attestry-core",
                json!("build"),
                false,
                "attestry-crypto must not use attestry-core",
            ),
            (
                "attestry-file",
                "attestry-memory",
                Value::Null,
                true,
                "attestry-file must not use attestry-memory",
            ),
            ("attestry-core", "attestry-memory", json!("dev"), false, "not even in its tests"),
            ("attestry-logger", "attestry-crypto", Value::Null, false, "only behind a feature"),
            (
                "attestry-cli",
                "attestry-file",
                Value::Null,
                false,
                "attestry-cli must not use attestry-file",
            ),
            ("attestry-new", "serde", Value::Null, false, "attestry-new is new"),
        ] {
            let dependencies = json!([{"name": used, "kind": kind, "optional": optional}]);
            let found = found(name, &dependencies);
            assert!(found.len() == 1 && found[0].contains(expected), "{name}: {found:?}");
        }
    }
}
