//! `attestry view` as a process, with `curl` as its client.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

use crate::common::Folder;

struct View {
    process: Child,
    /// The URL that it printed.
    url: String,
}

impl View {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut process =
            folder.command(&[&["view", "--no-open"], arguments].concat()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut url = String::new();
        output.read_line(&mut url).unwrap();
        Self { process, url: url.trim().to_owned() }
    }

    /// The address, without the path.
    fn origin(&self) -> &str {
        self.url.split_once("/login?once=").unwrap().0
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The status of the last response, after redirections, and the body.
fn curl(url: &str, arguments: &[&str]) -> (u16, String) {
    let usual = ["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"];
    let output = Command::new("curl").args(usual).args(arguments).arg(url).output();
    let text = String::from_utf8(output.expect("these tests need curl").stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn view_lets_one_browser_in_once_and_ends_with_ctrl_c() {
    let (folder, _) = Folder::with_sample();
    let mut view = View::start(&folder, &["audit"]);
    let entries = format!("{}/v1/entries", view.origin());
    assert_eq!(curl(&entries, &[]).0, 401);
    let cookies = folder.path("cookies");
    let browser = ["--location", "--cookie-jar", cookies.to_str().unwrap(), "--cookie", ""];
    let (status, page) = curl(&view.url, &browser);
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("<!DOCTYPE html>"), "{page}");
    // Another browser with the same URL is not let in.
    let (_, page) = curl(&format!("{}/entries", view.origin()), &["--location"]);
    assert!(!page.contains("gpt-4"), "{page}");
    let (status, page) = curl(&view.url, &["--location", "--cookie", ""]);
    assert!(status >= 400 && !page.contains("gpt-4"), "{status} {page}");

    let id = view.process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(view.process.wait().unwrap().code(), Some(0));
}

#[test]
fn view_changes_no_entry_and_creates_no_store() {
    let (folder, _) = Folder::with_sample();
    let before = folder.entries();
    let view = View::start(&folder, &[]);
    let (status, _) = curl(&format!("{}/v1/entries", view.origin()), &["--data", "{}"]);
    assert_eq!(status, 401);
    drop(view);
    assert_eq!(folder.entries(), before);
    folder.run(&["view", "--no-open", "elsewhere"]).expect(2, "no store at elsewhere");
    assert!(!folder.path("elsewhere").exists());
}
