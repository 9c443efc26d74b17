//! Keeps keys out of core dumps.

/// Forbids core dumps of this process, and other processes of the user to read its memory. Called before a key
/// is read; lasts until the process ends. Linux only; if the kernel refuses, the command runs all the same.
pub(crate) fn forbid() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn process_is_not_dumpable_afterwards() {
        super::forbid();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
