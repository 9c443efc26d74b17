//! Compares Attestry with other stores and the machine's limits in one run: `attestry-bench --help`.
//!
//! Each row (`rows`) measures one job done by Attestry and by a contender, in interleaved rounds, and may have a required
//! value. `cargo xtask bench` runs this and keeps the result.

mod args;
mod child;
mod exports;
mod group;
mod load;
mod machine;
mod peers;
mod plain;
mod replay;
mod report;
mod rig;
mod rng;
mod rows;
mod server;
mod soak;
mod stats;
mod store;
mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, FromArgMatches};
use serde_json::{Value, json};

use args::Args;
use rig::Rig;

/// Result of every measurement; an error ends the run.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let matches = Args::command().after_help(format!("Rows:\n{}", rows::list())).get_matches();
    let args = Args::from_arg_matches(&matches)?;
    if let Some(child) = args.child {
        return child::run(child);
    }
    let wanted = rows::named(&args.rows)?;
    fs::create_dir_all(&args.dir)?;
    if machine::file_system(&args.dir) == "tmpfs" {
        eprintln!("warning: the folder is in memory, where a sync costs nothing; see --dir");
    }
    let start = Instant::now();
    let mut rig = Rig::new(&args)?;
    fresh_folder(rig.path(""))?;
    let mut measured = Vec::new();
    let (outcome, mut of_run) = match &args.replay {
        Some(file) => match replay::run(&rig, &args, file) {
            Ok((rows, of_run)) => {
                measured = rows;
                (Ok(()), of_run)
            }
            Err(error) => (Err(error), json!({})),
        },
        None => (measure(&mut rig, &wanted, &mut measured), of_rows(&rig, &args)?),
    };
    rig.forget_store()?;
    remove(&rig.path(""))?;
    println!("\n{}", report::table(&measured));
    outcome?;

    let seconds = start.elapsed().as_secs();
    of_run["seconds"] = json!(seconds);
    let result = report::to_json(&measured, &machine::describe(&args.dir), &of_run);
    let name = if args.replay.is_some() { "replay.json" } else { "result.json" };
    let path = args.dir.join(name);
    fs::write(&path, serde_json::to_vec_pretty(&result)?)?;
    println!("{seconds} s; the result is {}", path.display());
    Ok(())
}

/// The conditions of a run.
fn of_rows(rig: &Rig, args: &Args) -> Result<Value> {
    let (line, texts) = rig.workload.mean_bytes()?;
    Ok(json!({
        "entries": rig.sizes,
        "kind": kind(args),
        "rounds": rig.rounds,
        "rows": args.rows,
        "mean_line_bytes": line,
        "mean_text_bytes": texts,
    }))
}

/// Whether this is a run of all rows in one of the documented sizes.
fn kind(args: &Args) -> &'static str {
    match (args.full, &args.entries, args.rows.is_empty() && args.python.is_some()) {
        (true, None, true) => "full",
        (false, None, true) => "default",
        _ => "part",
    }
}

/// Measures the rows in order and prints each.
fn measure(rig: &mut Rig, wanted: &[&rows::Kind], measured: &mut Vec<report::Row>) -> Result<()> {
    for kind in wanted {
        eprintln!("{}: {}", kind.name, kind.about);
        let start = Instant::now();
        let rows = (kind.run)(rig).map_err(|error| format!("{}: {error}", kind.name))?;
        eprint!("{}", report::table(&rows));
        eprintln!("  took {:.1} s\n", start.elapsed().as_secs_f64());
        measured.extend(rows);
    }
    Ok(())
}

/// Removes a file or folder if it exists.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => Ok(other?),
    }
}

/// Creates an empty folder.
pub(crate) fn fresh_folder(path: PathBuf) -> Result<PathBuf> {
    remove(&path)?;
    fs::create_dir_all(&path)?;
    Ok(path)
}
