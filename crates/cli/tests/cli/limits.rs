//! Accounts and limits: few threads, little memory, and maintenance as root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Stdio};

use crate::common::{Folder, Run, run, sample};

/// Reports that a test does not run here. With `ATTESTRY_REQUIRE=all`, as in continuous integration, it fails
/// instead.
#[allow(clippy::print_stderr)] // shown in the test's output
pub(crate) fn skip(reason: &str) {
    let required = std::env::var_os("ATTESTRY_REQUIRE").is_some_and(|value| value == "all");
    assert!(!required, "ATTESTRY_REQUIRE=all forbids skipping: {reason}");
    eprintln!("skipped: {reason}");
}

/// A working directory of another account, with the program in it.
struct Account {
    folder: Folder,
    id: u32,
}

impl Account {
    /// `id` must be that of an account without processes. `None` without root or the programs needed.
    fn new(id: u32) -> Option<Self> {
        let folder = Folder::new();
        let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if fs::metadata(folder.path(".")).unwrap().uid() != 0 || !has("setpriv") || !has("prlimit")
        {
            skip("needs root, setpriv and prlimit");
            return None;
        }
        // The program, as this account may not be able to reach where it was built.
        fs::copy(env!("CARGO_BIN_EXE_attestry"), folder.path("attestry")).unwrap();
        folder.write("sample.jsonl", &sample());
        fs::set_permissions(folder.path("."), fs::Permissions::from_mode(0o755)).unwrap();
        chown(folder.path("."), Some(id), Some(id)).unwrap();
        chown(folder.path("sample.jsonl"), Some(id), Some(id)).unwrap();
        Some(Self { folder, id })
    }

    /// Runs the program under `limit`, an option of `prlimit`.
    fn run<S: AsRef<OsStr>>(&self, limit: &str, arguments: &[S]) -> Run {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "120", "setpriv", "--clear-groups"]);
        command.args([format!("--reuid={}", self.id), format!("--regid={}", self.id)]);
        command.args(["prlimit", limit]).arg(self.folder.path("attestry")).args(arguments);
        command.current_dir(self.folder.path("."));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        run(&mut command)
    }

    /// Runs each command under `limit`. All end with status 0, or with 2 and a hint.
    fn run_all(&self, limit: &str) -> Vec<bool> {
        let commands: [&[&str]; 7] = [
            &["log", "--input", "a", "--output", "b"],
            &["import", "sample.jsonl"],
            &["list"],
            &["count"],
            &["check", "--against", "sample.jsonl"],
            &["cleanup", "--dry-run"],
            &["compact"],
        ];
        let run = |arguments: &&[&str]| {
            let run = self.run(limit, arguments);
            let failed = run.status == Some(2) && run.stderr.contains("hint: ");
            assert!(failed || run.status == Some(0), "{limit} {arguments:?}: {run:?}");
            assert!(!run.stderr.contains("panicked"), "{limit} {arguments:?}: {run:?}");
            run.status == Some(0)
        };
        commands.iter().map(run).collect()
    }
}

#[test]
fn commands_work_with_few_threads_or_fail_with_a_hint() {
    let Some(account) = Account::new(65_533) else { return };
    assert!(!account.run_all("--nproc=1").contains(&true));
    for threads in 2..=16 {
        let succeeded = account.run_all(&format!("--nproc={threads}"));
        // This thread, two for calls that block, the writer thread and that of an input.
        assert!(threads < 6 || !succeeded.contains(&false), "{threads} threads: {succeeded:?}");
    }
}

#[test]
fn commands_work_with_little_memory_or_fail_with_a_hint() {
    let Some(account) = Account::new(65_531) else { return };
    // The unoptimised program cannot be loaded with much less.
    for megabytes in [80, 128, 200, 256, 300, 350, 400, 450, 500, 600, 700, 800, 1_000, 2_000] {
        let succeeded = account.run_all(&format!("--as={}", megabytes << 20));
        assert!(megabytes < 256 || !succeeded.contains(&false), "{megabytes} MiB: {succeeded:?}");
    }
    // More than the limit.
    let text = "long ".repeat(2_000);
    let line = format!("{{\"input\": \"{text}\", \"output\": \"{text}\"}}\n");
    // Readable by the account, other than what `Folder::write` writes.
    fs::write(account.folder.path("large.jsonl"), line.repeat(20_000)).unwrap();
    let limit = format!("--as={}", 256 << 20);
    account.run(&limit, &["import", "large.jsonl"]).expect(0, "imported 20,000 interactions");
    let import = ["import", "--new-ids", "--store-content", "large.jsonl"];
    account.run(&limit, &import).expect(0, "imported 20,000");
    account.run(&limit, &["check"]).expect(0, "");
}

#[test]
fn root_leaves_the_store_to_its_account() {
    let Some(account) = Account::new(65_529) else { return };
    let log = || account.run("--nproc=100", &["log", "--input", "in", "--output", "out"]);
    for maintenance in [
        &["log", "--input", "in", "--output", "out"][..],
        &["import", "sample.jsonl"],
        &["cleanup", "--retention-days", "100000"],
        &["compact"],
        &["check"],
    ] {
        log().expect(0, "");
        account.folder.ok(maintenance);
        log().expect(0, "");
    }
    let mut find = Command::new("find");
    let found = find.arg(account.folder.path("audit")).args(["-uid", "0"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}
