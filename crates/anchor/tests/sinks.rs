//! Folders, files, commands and git repositories as anchors.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use attestry_anchor::{AnchorStatus, CommandSink, Dispatcher, FileSink, FolderSink, GitSink};
use attestry_file::FileStorage;
use support::{grow, quick, store, until};
use tempfile::TempDir;

const MINUTE: Duration = Duration::from_secs(60);

fn status(dispatcher: &Dispatcher) -> AnchorStatus {
    dispatcher.status().remove(0)
}

async fn held(dispatcher: &Dispatcher, leaves: u64) {
    until("it is handed over", || status(dispatcher).held.is_some_and(|h| h.leaves == leaves))
        .await;
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let identity =
        ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").args(identity).args(arguments).current_dir(folder).output();
    let output = output.expect("these tests need git");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn folder_and_file_get_each_checkpoint() {
    let (_guard, store) = store().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let missing = elsewhere.path().join("share");
    let all = elsewhere.path().join("all");
    let sinks = quick().anchor(FolderSink::new(&missing)).anchor(FileSink::new(&all));
    let dispatcher = sinks.start(store.clone()).unwrap();
    let first = grow(&store, 3).await;
    until("the folder is missed", || status(&dispatcher).failed >= 2).await;
    let error = status(&dispatcher).last_error.unwrap();
    assert!(error.contains("share") && error.contains("No such file"), "{error}");
    // The share is mounted.
    fs::create_dir(&missing).unwrap();
    held(&dispatcher, 3).await;
    let second = grow(&store, 4).await;
    held(&dispatcher, 7).await;
    let last = dispatcher.close(MINUTE).await;
    assert!(last.iter().all(|anchor| !anchor.pending), "{last:?}");
    assert_eq!(fs::read_to_string(&all).unwrap(), format!("{first}{second}"));
    let mut names: Vec<_> = fs::read_dir(&missing).unwrap().map(|f| f.unwrap().path()).collect();
    names.sort();
    let texts: Vec<_> = names.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(texts, [first.to_string(), second.to_string()]);
}

#[tokio::test]
async fn command_gets_the_checkpoint_and_its_failure_is_reported() {
    let (_guard, store) = store().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (ready, kept) = (elsewhere.path().join("ready"), elsewhere.path().join("kept"));
    let command = format!(
        "test -e {} || {{ echo not ready >&2; exit 3; }}; cat > {}",
        ready.display(),
        kept.display()
    );
    let dispatcher = quick().anchor(CommandSink::new(command)).start(store.clone()).unwrap();
    let note = grow(&store, 3).await;
    until("it fails", || status(&dispatcher).failed >= 2).await;
    let error = status(&dispatcher).last_error.unwrap();
    assert!(error.contains("exit status: 3") && error.contains("not ready"), "{error}");
    fs::write(&ready, "").unwrap();
    held(&dispatcher, 3).await;
    assert_eq!(fs::read_to_string(&kept).unwrap(), note.as_str());
}

#[tokio::test]
async fn command_that_hangs_is_killed_with_its_children() {
    let (_guard, store) = store().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let pid = elsewhere.path().join("pid");
    let command = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display());
    let sinks = quick().anchor(CommandSink::new(command)).timeout(Duration::from_millis(500));
    let dispatcher = sinks.start(store.clone()).unwrap();
    grow(&store, 1).await;
    until("it is stopped", || status(&dispatcher).failed >= 1).await;
    assert!(status(&dispatcher).last_error.unwrap().contains("no answer within"));
    drop(dispatcher);
    let child = fs::read_to_string(&pid).unwrap();
    let process = Path::new("/proc").join(child.trim()).join("cmdline");
    let runs = || fs::read(&process).is_ok_and(|line| line.starts_with(b"sleep"));
    until("the child has ended", || !runs()).await;
}

/// A bare repository and a clone of it with one commit.
fn repository(folder: &TempDir) -> (std::path::PathBuf, std::path::PathBuf) {
    let (origin, clone) = (folder.path().join("origin.git"), folder.path().join("clone"));
    git(folder.path(), &["init", "--quiet", "--bare", "origin.git"]);
    git(folder.path(), &["clone", "--quiet", "origin.git", "clone"]);
    git(&clone, &["commit", "--quiet", "--allow-empty", "-m", "begin"]);
    git(&clone, &["push", "--quiet", "-u", "origin", "HEAD"]);
    (origin, clone)
}

async fn into_git(store: &Arc<FileStorage>, clone: &Path) -> AnchorStatus {
    let dispatcher = quick().anchor(GitSink::new(clone)).start(store.clone()).unwrap();
    dispatcher.close(MINUTE).await.remove(0)
}

#[tokio::test]
async fn git_commits_and_pushes_each_checkpoint_once() {
    let (_guard, store) = store().await;
    let folder = tempfile::tempdir().unwrap();
    let (origin, clone) = repository(&folder);
    let show = "HEAD:example.com_audit.checkpoint";
    for count in [3, 4] {
        let note = grow(&store, count).await;
        assert!(!into_git(&store, &clone).await.pending);
        assert_eq!(git(&origin, &["show", show]), note.as_str());
    }
    // Another clone has pushed meanwhile.
    git(folder.path(), &["clone", "--quiet", "origin.git", "other"]);
    let other = folder.path().join("other");
    git(&other, &["commit", "--quiet", "--allow-empty", "-m", "meanwhile"]);
    git(&other, &["push", "--quiet"]);
    let note = grow(&store, 5).await;
    assert!(!into_git(&store, &clone).await.pending);
    assert_eq!(git(&origin, &["show", show]), note.as_str());
    let log = git(&origin, &["log", "--format=%an %s"]);
    let expected = "attestry Checkpoint of 12 leaves of example.com/audit\nt meanwhile\n\
        attestry Checkpoint of 7 leaves of example.com/audit\n\
        attestry Checkpoint of 3 leaves of example.com/audit\nt begin\n";
    assert_eq!(log, expected);
}

#[tokio::test]
async fn git_failures_are_reported_and_repeated() {
    let (_guard, store) = store().await;
    let folder = tempfile::tempdir().unwrap();
    let (origin, clone) = repository(&folder);
    let away = folder.path().join("away.git");
    fs::rename(&origin, &away).unwrap();
    let dispatcher = quick().anchor(GitSink::new(&clone)).start(store.clone()).unwrap();
    grow(&store, 3).await;
    until("the push fails", || status(&dispatcher).failed >= 2).await;
    assert!(status(&dispatcher).last_error.unwrap().starts_with("git pull in "));
    fs::rename(&away, &origin).unwrap();
    held(&dispatcher, 3).await;
    assert_eq!(git(&origin, &["rev-list", "--count", "HEAD"]).trim(), "2", "one commit");
}
