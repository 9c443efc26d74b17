//! The program starts, and knows its tests. (It is built for this, along with all other programs, so
//! that continuous integration need not build it once more.)
#![allow(clippy::unwrap_used)] // helpers of a test

use std::process::Command;

#[test]
fn it_says_which_tests_there_are() {
    let output = Command::new(env!("CARGO_BIN_EXE_torture")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for test in
        ["kill", "calls", "strace", "disk-full", "fsync-error", "power-cut", "simulate", "all"]
    {
        assert!(help.lines().any(|line| line.trim_start().starts_with(test)), "{help}");
    }
}

#[test]
fn a_test_that_is_none_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_torture")).arg("tickle").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
