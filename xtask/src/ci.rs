//! Everything that must hold before a change goes in. `.ci/run` calls this and nothing else.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::cmd::{Cmd, Result, seconds};
use crate::workspace::{Package, Workspace};
use crate::{costs, demo, interop, layers, s3, torture};

const CARGO_DENY_VERSION: &str = "0.20.2";

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
        about: "every dependency between our crates points down",
        run: layers::run,
    },
    Step {
        name: "documented",
        about: "docs/dependencies.md has every dependency",
        run: layers::documented,
    },
    Step { name: "clippy", about: "no warning anywhere, all features on", run: clippy },
    Step { name: "doc", about: "the documentation builds without a warning", run: doc },
    Step {
        name: "test",
        about: "the README's test command; all features, too, where that is more",
        run: test,
    },
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
        about: "each feature, each pair and each crate by itself",
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

fn fmt(workspace: &Workspace) -> Result {
    workspace.cargo().args(["fmt", "--all", "--check"]).run()
}

fn clippy(workspace: &Workspace) -> Result {
    workspace
        .cargo()
        .args(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
        .run()
}

fn doc(workspace: &Workspace) -> Result {
    workspace
        .cargo()
        .args(["doc", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

fn test(workspace: &Workspace) -> Result {
    let test = workspace.cargo().args(["test", "--workspace"]);
    test.run()?;
    let more =
        workspace.packages.iter().any(|package| package.features.len() > on_by_default(package));
    if more { test.arg("--all-features").run() } else { Ok(()) }
}

fn on_by_default(package: &Package) -> usize {
    package.features.iter().filter(|name| package.default_features.contains(name)).count()
}

/// Each crate as someone gets it who uses nothing else of the workspace: what it needs must be
/// in its own manifest, not in that of a neighbour built along with it.
fn features(workspace: &Workspace) -> Result {
    for package in &workspace.packages {
        let alone = |arguments: &[&str]| {
            workspace
                .cargo()
                .args(["clippy", "--quiet", "--package", &package.name])
                .args(arguments)
                .args(["--", "-D", "warnings"])
                .run()
        };
        alone(&["--all-targets"])?;
        if package.features.is_empty() {
            continue;
        }
        alone(&["--no-default-features"])?;
        for (index, first) in package.features.iter().enumerate() {
            alone(&["--no-default-features", "--features", first])?;
            for second in &package.features[index + 1..] {
                alone(&["--no-default-features", "--features", &format!("{first},{second}")])?;
            }
        }
    }
    Ok(())
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

/// cargo-deny in the version we want, installed under `target/` where it is not there yet.
fn cargo_deny(workspace: &Workspace) -> Result<Cmd> {
    let tools = workspace.target.join("tools");
    let program = tools.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    let there = Cmd::new(&program).arg("--version").read();
    if !there.is_ok_and(|version| version.trim().ends_with(CARGO_DENY_VERSION)) {
        workspace
            .cargo()
            .args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY_VERSION, "--root"])
            .arg(&tools)
            .run()?;
    }
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
