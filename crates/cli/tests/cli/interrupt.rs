//! Signals during an import: exactly the printed entries are stored, and the store is intact.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use crate::common::{self, Folder, sample};

fn assert_import_ends_cleanly(signal: &str, status: i32) {
    let folder = Folder::new();
    let mut child = folder.command(&["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());

    // The pipe stays open, like that of a running service.
    input.write_all(sample().as_bytes()).unwrap();
    input.write_all(b"{\"input\": \"half a li").unwrap();
    let mut printed = String::new();
    for _ in 0..6 {
        output.read_line(&mut printed).unwrap();
    }
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    output.read_to_string(&mut printed).unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(status), "{errors}");
    let message =
        "interrupted: imported 6 interactions, all up to line 6; continue with `tail -n +7`";
    assert!(errors.contains(message), "{errors}");
    drop(input);

    let stored: Vec<_> =
        folder.entries().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), stored);
    folder.ok(&["check"]);
}

#[test]
fn import_ends_cleanly_on_sigint() {
    assert_import_ends_cleanly("-INT", 130);
}

#[test]
fn import_ends_cleanly_on_sigterm() {
    assert_import_ends_cleanly("-TERM", 143);
}

#[test]
fn interrupted_import_prints_exactly_the_stored_ids() {
    let folder = Folder::new();
    let mut child = folder.command(&["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Writes until the program ends.
    let writer = std::thread::spawn(move || {
        let block = sample().repeat(100);
        while input.write_all(block.as_bytes()).is_ok() {}
    });
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    for _ in 0..2000 {
        output.read_line(&mut printed).unwrap();
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    output.read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    writer.join().unwrap();

    let (_, stored) = folder.segment();
    let stored: Vec<_> =
        stored.lines().map(|line| common::json(line)["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), stored);
}
