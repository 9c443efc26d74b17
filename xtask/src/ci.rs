//! The checks that every change must pass. `.ci/run` calls this and nothing else.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::cmd::{Result, seconds};
use crate::tools::{CARGO_DENY, TYPOS};
use crate::workspace::{Package, Workspace};
use crate::{api, costs, demo, docs, interop, layers, otlp, python, s3, serve, torture};

/// Name prefixes of crates that the facade must not depend on.
const HEAVY: &[&str] = &["aws-", "openssl", "native-tls"];

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace) -> Result,
    /// Part of the tier that contributors run before each commit.
    quick: bool,
}

impl Step {
    const fn new(name: &'static str, about: &'static str, run: fn(&Workspace) -> Result) -> Self {
        Self { name, about, run, quick: false }
    }

    const fn quick(self) -> Self {
        Self { quick: true, ..self }
    }
}

/// The name of the tier of quick steps.
const QUICK: &str = "quick";

const STEPS: &[Step] = &[
    Step::new("fmt", "the code is formatted", fmt).quick(),
    Step::new("layers", "crates and modules depend downwards only", layers::run).quick(),
    Step::new("docs", "docs/ names tests and files that exist, and all dependencies", docs::run)
        .quick(),
    Step::new("typos", "spelling", typos),
    Step::new("locked", "every lock file fits its manifests", locked),
    Step::new("clippy", "no warning in any target, with all features", clippy).quick(),
    Step::new("doc", "the documentation builds without a warning", doc),
    Step::new("api", "the public API is as listed in docs/api", |workspace| {
        api::run(workspace, &[])
    }),
    Step::new("test", "all tests, with all features", test).quick(),
    Step::new("test-default", "the library with the features that are on by default", test_default),
    Step::new("benches", "each criterion benchmark runs once", benches),
    Step::new("costs", "no operation costs more than recorded", |workspace| {
        costs::run(workspace, &[])
    }),
    Step::new(
        "torture",
        "the file backend under kills, faults and power cuts, for seconds",
        torture::short,
    ),
    Step::new("features", "each feature and each published crate alone", features),
    Step::new("lean", "the facade depends on no AWS crate and no OpenSSL", lean),
    Step::new("deny", "licences, bans and sources of all dependencies", deny),
    Step::new("package", "each crate can be packaged", package),
    Step::new("interop", "both directions with the real Python package", interop::run),
    Step::new("otlp", "real clients of OpenTelemetry and a small model", otlp::run),
    Step::new("python", "the Python package: its wheel, its tests and its types", python::run),
    Step::new("typescript", "real clients of Node record in the server", crate::typescript::run),
    Step::new("viewer", "every page of the viewer in a browser", crate::viewer::run),
    Step::new("s3", "the S3 backend against SeaweedFS", s3::check),
    Step::new("serve", "the server's metrics, API description and unit are valid", serve::check),
    Step::new("demo", "the README's first command", |workspace| demo::run(workspace, None)),
];

/// The steps with what they check, one a line; those of the quick tier are marked.
pub(crate) fn steps() -> String {
    let mut text = String::new();
    for step in STEPS {
        let mark = if step.quick { "*" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:15}{}", format!("{}{mark}", step.name), step.about);
    }
    text
}

/// Runs all steps, the quick tier, or the steps named, and stops at the first that fails.
pub(crate) fn run(workspace: &Workspace, names: &[&str]) -> Result {
    let known = |name: &str| name == QUICK || STEPS.iter().any(|step| step.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(format!("unknown step {unknown:?}; the steps are:\n\n{}", steps()).into());
    }
    let quick = names.contains(&QUICK);
    let wanted =
        |step: &&Step| names.is_empty() || names.contains(&step.name) || (quick && step.quick);
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for step in STEPS.iter().filter(wanted) {
        println!("\n== {}: {}", step.name, step.about);
        let start = Instant::now();
        let outcome = (step.run)(workspace);
        times.push((step.name, start.elapsed()));
        if let Err(error) = outcome {
            print_times(&times);
            return Err(format!(
                "{} failed after {}: {error}\n\nTo repeat this step:\n\n    cargo xtask ci {}",
                step.name,
                seconds(start.elapsed()),
                step.name
            )
            .into());
        }
        println!("== {}: ok in {}", step.name, seconds(start.elapsed()));
    }
    print_times(&times);
    println!("\nall steps passed");
    Ok(())
}

fn print_times(times: &[(&str, Duration)]) {
    println!();
    for (name, time) in times {
        println!("{name:15} {:>8}", seconds(*time));
    }
    println!("{:15} {:>8}", "total", seconds(times.iter().map(|(_, time)| *time).sum()));
}

/// The workspaces: these three folders have their own.
const MANIFESTS: [&str; 4] =
    ["Cargo.toml", python::MANIFEST, "rigs/bench/Cargo.toml", "rigs/fuzz/Cargo.toml"];

fn fmt(workspace: &Workspace) -> Result {
    for manifest in MANIFESTS {
        let formatted = workspace.cargo().args(["fmt", "--all", "--check"]);
        formatted.args(["--manifest-path", manifest]).run()?;
    }
    Ok(())
}

fn locked(workspace: &Workspace) -> Result {
    for manifest in MANIFESTS {
        let update = workspace.cargo().args(["update", "--workspace", "--locked"]);
        update.args(["--manifest-path", manifest]).run()?;
    }
    Ok(())
}

/// Runs without measuring: finds benchmarks that no longer work.
fn benches(workspace: &Workspace) -> Result {
    workspace.cargo().args(["test", "--workspace", "--all-features", "--bench", "*"]).run()
}

fn clippy(workspace: &Workspace) -> Result {
    let every = ["--workspace", "--all-targets", "--all-features"];
    let strict = ["--", "-D", "warnings"];
    workspace.cargo().arg("clippy").args(every).args(strict).run()?;
    // In the same target folder: common dependencies are checked once.
    let bench = workspace.cargo().args(["clippy", "--manifest-path", "rigs/bench/Cargo.toml"]);
    bench.arg("--all-targets").arg("--target-dir").arg(&workspace.target).args(strict).run()
}

fn doc(workspace: &Workspace) -> Result {
    workspace
        .cargo()
        .args(["doc", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// The README's test command.
fn test(workspace: &Workspace) -> Result {
    workspace.cargo().args(["test", "--workspace", "--all-features"]).run()?;
    workspace.tested.set(true);
    Ok(())
}

/// The facade and the crates below it that behave otherwise without the features which programs of the workspace enable:
/// no build of the whole workspace compiles what most users run.
fn test_default(workspace: &Workspace) -> Result {
    let packages = ["--package=attestry", "--package=attestry-file", "--package=attestry-logger"];
    let skipped = INDEX_TESTS.iter().flat_map(|tests| ["--skip", tests]);
    workspace.cargo().arg("test").args(packages).arg("--").args(skipped).run()
}

/// Tests of the file backend that take longest, and that no feature changes.
const INDEX_TESTS: &[&str] = &["index_freshness::", "indexes::", "indexing::", "secondary_index::"];

/// Each published crate alone, so that its own manifest must name all it needs. Its tests are left out: checking their
/// dependencies for each crate takes minutes.
fn features(workspace: &Workspace) -> Result {
    for package in workspace.packages.iter().filter(|package| package.published) {
        let alone = |arguments: &[&str]| {
            workspace
                .cargo()
                .args(["clippy", "--quiet", "--package", &package.name])
                .args(arguments)
                .args(["--", "-D", "warnings"])
                .run()
        };
        alone(&[])?;
        for features in combinations(package, &package.named_features()?) {
            match features.as_slice() {
                [] => alone(&["--no-default-features"])?,
                some => alone(&["--no-default-features", "--features", &some.join(",")])?,
            }
        }
    }
    Ok(())
}

/// None, each, and all of the features that the code of a package names; other features do not change it. The default
/// set is left out, since it is checked already. Pairs are left out: with five features they are ten builds, and code
/// for two features is compiled with all.
fn combinations<'a>(package: &Package, named: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut all = vec![Vec::new()];
    all.extend(named.iter().map(|feature| vec![*feature]));
    all.push(named.to_vec());
    all.dedup();
    let is_default = |features: &Vec<&str>| {
        let on = named.iter().filter(|name| package.default_features.iter().any(|on| on == *name));
        on.eq(features.iter())
    };
    all.retain(|features| !is_default(features));
    all
}

fn lean(workspace: &Workspace) -> Result {
    let tree = workspace.cargo().args(["tree", "--edges", "normal", "--package", "attestry"]);
    let names = tree.clone().args(["--prefix", "none", "--format", "{p}"]).read()?;
    let mut names: Vec<&str> = names.lines().filter_map(|line| line.split(' ').next()).collect();
    names.sort_unstable();
    names.dedup();
    match names.iter().find(|name| HEAVY.iter().any(|start| name.starts_with(start))) {
        Some(name) => {
            Err(format!("the facade depends on {name}; to see why:\n\n    {tree} --invert {name}")
                .into())
        }
        None => {
            println!("  {} crates, none of AWS or OpenSSL", names.len());
            Ok(())
        }
    }
}

fn deny(workspace: &Workspace) -> Result {
    CARGO_DENY
        .prepare(workspace)?
        .args(["--workspace", "--all-features", "check", "--hide-inclusion-graph"])
        .args(["licenses", "bans", "sources"])
        .folder(&workspace.root)
        .run()
}

fn typos(workspace: &Workspace) -> Result {
    TYPOS.prepare(workspace)?.folder(&workspace.root).run()
}

fn package(workspace: &Workspace) -> Result {
    let private = workspace.packages.iter().filter(|package| !package.published);
    let excluded = private.flat_map(|package| ["--exclude", &package.name]);
    workspace
        .cargo()
        .args(["package", "--workspace", "--no-verify", "--allow-dirty"])
        .args(excluded)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::packages;
    use serde_json::json;

    #[test]
    fn combinations_exclude_the_default_set() {
        let package = |default: &[&str]| {
            let features = json!({"default": default, "a": [], "b": [], "c": []});
            let metadata = json!({"packages": [{"name": "x", "features": features}]});
            packages(&metadata).unwrap().remove(0)
        };
        let found = |default: &[&str], named: &[&'static str]| -> Vec<String> {
            let package = package(default);
            combinations(&package, named).iter().map(|features| features.join("+")).collect()
        };
        assert_eq!(found(&["a", "b", "c"], &["a", "b", "c"]), ["", "a", "b", "c"]);
        assert_eq!(found(&["a"], &["a", "b", "c"]), ["", "b", "c", "a+b+c"]);
        assert_eq!(found(&["b"], &["a", "b"]), ["", "a", "a+b"]);
        assert_eq!(found(&["a"], &["a"]), [""]);
        assert!(found(&[], &[]).is_empty());
        assert_eq!(found(&[], &["a"]), ["a"]);
    }
}
