//! The machine and the versions of a run.

use std::fs;
use std::path::Path;

use attestry::Timestamp;
use serde_json::{Value, json};

use crate::Result;

/// Processor, kernel, file system of `folder`, versions and date.
pub(crate) fn describe(folder: &Path) -> Value {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({
        "cpu": cpu(),
        "cores": cores,
        "memory_mb": memory_mb(),
        "system": std::env::consts::OS,
        "kernel": read("/proc/sys/kernel/osrelease"),
        "file_system": file_system(folder),
        "rustc": env!("RUSTC_VERSION"),
        "versions": {
            "attestry": locked("attestry"),
            "tokio": locked("tokio"),
            "redb": locked("redb"),
            "tracing-appender": locked("tracing-appender"),
            "fjall": locked("fjall"),
            "rusqlite": locked("rusqlite"),
            "SQLite": rusqlite::version(),
        },
        "date": Timestamp::now().to_string().split('T').next(),
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn cpu() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find(|line| line.starts_with("model name"));
    model
        .and_then(|line| line.split_once(':'))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn memory_mb() -> u64 {
    let info = read("/proc/meminfo");
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|t| t.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// The type of the file system of `folder`, such as `ext4`.
pub(crate) fn file_system(folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let mounts = read("/proc/self/mounts");
    let holding = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        folder.starts_with(point).then_some((point.len(), kind))
    });
    // Of several mounts on one folder, the last is visible.
    holding.max_by_key(|(length, _)| *length).map_or("unknown", |(_, kind)| kind).to_owned()
}

/// CPU time of this process in microseconds, user and kernel together, at a resolution of 10 ms. Many kernels only
/// sample the split between the two.
pub(crate) fn cpu_micros() -> Result<f64> {
    times(&fs::read_to_string("/proc/self/stat")?).ok_or_else(|| "there is no CPU time".into())
}

/// The program name, in parentheses, may contain any character; fields are counted after it.
fn times(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || Some(fields.next()?.parse::<f64>().ok()? * 1e4);
    Some(next()? + next()?)
}

/// The version of a package in the lock file.
fn locked(name: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let wanted = format!("name = \"{name}\"");
    let mut lines = lock.lines().skip_while(|line| **line != wanted);
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1));
    version.unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_found_after_any_name() {
        let stat = "7 (a b) c) R 1 1 1 0 -1 4194304 100 0 0 0 250 31 0 0 20 0 4 0 5 6 7";
        assert_eq!(times(stat), Some(2_810_000.0));
        assert_eq!(times("7 (a) R 1"), None);
        assert!(cpu_micros().is_ok() || !cfg!(target_os = "linux"));
    }

    #[test]
    fn every_version_is_known() {
        for name in ["attestry", "tokio", "redb", "fjall", "rusqlite", "tracing-appender"] {
            assert!(locked(name).starts_with(|c: char| c.is_ascii_digit()), "{name}");
        }
    }
}
