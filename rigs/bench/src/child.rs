//! Measurements in a separate process: memory, and the system calls of one deletion.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use attestry::{AuditLogger, EntryId, Query, StorageBackend};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::args::Child;
use crate::workload::Workload;
use crate::{Result, rig, server, soak, store};

/// A path that the deleting process looks up before and after, as marks for strace.
const MARK: &str = "/attestry-bench-mark";

/// Memory of the process that writes and scans.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Peak resident memory after opening the store, in kilobytes.
    pub(crate) opened_kb: u64,
    /// Peak resident memory of the whole run.
    pub(crate) peak_kb: u64,
    /// Number of scanned entries.
    pub(crate) scanned: u64,
}

/// System calls of one deletion.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Calls {
    /// `fdatasync` and `fsync`.
    pub(crate) syncs: u64,
    /// Bytes written.
    pub(crate) written: u64,
}

/// Runs in the child process.
pub(crate) fn run(child: Child) -> Result<()> {
    match child {
        Child::Memory { store, rotation, write } => {
            let found = write_and_scan(&store, rotation, write)?;
            println!("{}", serde_json::to_string(&found)?);
        }
        Child::Export { format, calls } => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            format.write(&Workload::new(), calls, &mut out)?;
            out.flush()?;
        }
        Child::Soak { folder, minutes, attestry } => soak::run(&attestry, &folder, minutes)?,
        Child::ServeFloor { file } => server::floor(&file)?,
        Child::Delete { store, id } => rig::runtime()?.block_on(delete(&store, &id))?,
    }
    Ok(())
}

fn write_and_scan(path: &Path, rotation: u64, write: usize) -> Result<Memory> {
    const TASKS: usize = 256;
    let runtime = rig::runtime()?;
    let workload = Workload::new();
    let storage = runtime.block_on(store::open(path, rotation))?;
    let opened_kb = peak_kb()?;
    let logger = AuditLogger::builder(storage).build();
    let reader = logger.clone();
    // Concurrently: a full scan while hundreds of tasks write.
    let scan = runtime.spawn(async move {
        let mut entries = reader.query(Query::new());
        let mut scanned = 0;
        while entries.try_next().await?.is_some() {
            scanned += 1;
        }
        Ok::<u64, attestry::StorageError>(scanned)
    });
    let scanned = runtime.block_on(async {
        log_many(&logger, &workload, TASKS, write.div_ceil(TASKS)).await?;
        Ok::<u64, Box<dyn std::error::Error + Send + Sync>>(scan.await??)
    })?;
    runtime.block_on(logger.close())?;
    Ok(Memory { opened_kb, peak_kb: peak_kb()?, scanned })
}

/// Logs `each` interactions from each of `tasks` tasks.
pub(crate) async fn log_many(
    logger: &AuditLogger,
    workload: &Arc<Workload>,
    tasks: usize,
    each: usize,
) -> Result<()> {
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let (logger, workload) = (logger.clone(), Arc::clone(workload));
            tokio::spawn(async move {
                for number in task * each..(task + 1) * each {
                    logger.log(workload.interaction(number)).await?;
                }
                Ok::<(), attestry::AuditError>(())
            })
        })
        .collect();
    for task in running {
        task.await??;
    }
    Ok(())
}

async fn delete(path: &Path, id: &str) -> Result<()> {
    let storage = store::open(path, 100 << 20).await?;
    let id = EntryId::new(id)?;
    let there = storage.read(&id).await?.is_some();
    let _ = std::fs::metadata(MARK);
    let deleted = storage.delete(&id).await?;
    let _ = std::fs::metadata(MARK);
    storage.close().await?;
    if there && deleted { Ok(()) } else { Err(format!("there is no entry {id} to delete").into()) }
}

/// Peak resident memory of this process.
fn peak_kb() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("the system does not say how much memory is used")?.parse()?)
}

/// Memory of a process that writes this many entries while it scans the whole store.
pub(crate) fn memory(path: &Path, rotation: u64, write: usize) -> Result<Memory> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("memory").arg(path).arg(rotation.to_string()).arg(write.to_string());
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the process that writes and scans failed: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The system calls of deleting one entry; `None` without strace.
pub(crate) fn delete_traced(path: &Path, id: &EntryId, trace: &Path) -> Result<Option<Calls>> {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e"])
        .arg("trace=statx,stat,newfstatat,fdatasync,fsync,sync_file_range,msync,write,pwrite64,writev,pwritev,pwritev2")
        .args(["-e", "signal=none", "-s", "32", "-o"])
        .arg(trace)
        .arg(std::env::current_exe()?)
        .arg("delete")
        .arg(path)
        .arg(id.as_str());
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("ptrace") || said.contains("PTRACE") {
            return Ok(None); // installed but not permitted
        }
        return Err(format!("the process that deletes failed: {said}").into());
    }
    let text = String::from_utf8_lossy(&std::fs::read(trace)?).into_owned();
    crate::remove(trace)?;
    Ok(Some(count_calls(&text)?))
}

/// Counts calls between the two marks in a trace.
fn count_calls(trace: &str) -> Result<Calls> {
    let mut parts = trace.split(MARK);
    let (Some(_), Some(part), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("strace shows no marks".into());
    };
    let mut calls = Calls::default();
    for line in part.lines() {
        // An interrupted call appears twice, the second time as resumed.
        let begins = |name: &str| line.contains(&format!(" {name}("));
        if begins("fdatasync") || begins("fsync") || begins("msync") || begins("sync_file_range") {
            calls.syncs += 1;
        }
        // Writes of 8 bytes go to an eventfd, not to a disk.
        let wrote = line.contains("write") && !line.contains("unfinished");
        let result = line.rsplit_once(" = ").and_then(|(_, result)| result.trim().parse().ok());
        if let (true, Some(bytes)) = (wrote, result.filter(|bytes: &u64| *bytes != 8)) {
            calls.written += bytes;
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_between_the_marks_are_counted() {
        let trace = format!(
            "1 fdatasync(3) = 0\n1 statx(AT_FDCWD, \"{MARK}\", x) = -1 ENOENT\n2 write(4, \"\\1\", 8) = 8\n\
             2 pwrite64(5, \" \"..., 498, 10) = 498\n2 fdatasync(5 <unfinished ...>\n2 <... fdatasync resumed>) = 0\n\
             3 pwrite64(6, \" \"..., 2 <unfinished ...>\n3 <... pwrite64 resumed>) = 2\n\
             1 statx(AT_FDCWD, \"{MARK}\", x) = -1\n1 fsync(3) = 0\n"
        );
        let calls = count_calls(&trace).unwrap();
        assert_eq!((calls.syncs, calls.written), (1, 500));
        assert!(count_calls("").is_err());
    }
}
