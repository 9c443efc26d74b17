//! How long the scheduler lets the committer run, which decides how soon it runs.
//!
//! Between a write and the answers to its callers lie several waits for the disk. After each the
//! committer has to get a processor back, and where all of them are making new lines, it gets one
//! when they have run for their slice of some milliseconds, ten times as long as a sync takes: by then
//! all callers wait for it. Linux (6.12 and later) lets a thread ask for shorter slices, and one that
//! has shorter ones, and has not used up its share, go before those who run. That needs no
//! privilege, and gives it no more of a processor than others get. Where system calls are filtered
//! (seccomp) nothing is asked for: some filters kill who makes a call that is not on their list.

#[cfg(target_os = "linux")]
use std::io::Read as _;

/// Shorter than a sync; the least that Linux allows.
#[cfg(target_os = "linux")]
const SLICE_NANOS: u64 = 100_000;

/// Asks for short slices for this thread. Where that cannot be had, all is as without them.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // Two system calls that no crate wraps.
pub(super) fn ask_for_short_ones() {
    if calls_are_filtered() {
        return;
    }
    const THIS_THREAD: libc::pid_t = 0;
    const NO_FLAGS: libc::c_uint = 0;
    // Of eight plain numbers, for which zero is valid.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>() as libc::c_uint;
    // What is set besides, niceness above all, has to be handed back as it was.
    //
    // SAFETY: the kernel writes at most `size` bytes, all within `attributes`, which outlives the call.
    let got = unsafe {
        libc::syscall(libc::SYS_sched_getattr, THIS_THREAD, &raw mut attributes, size, NO_FLAGS)
    };
    let shares_fairly = [libc::SCHED_OTHER, libc::SCHED_BATCH]
        .iter()
        .any(|policy| u32::try_from(*policy) == Ok(attributes.sched_policy));
    if got != 0 || !shares_fairly {
        return; // forbidden, or somebody gave it a priority above all such threads
    }
    attributes.size = size;
    attributes.sched_runtime = SLICE_NANOS;
    // SAFETY: the kernel reads `attributes.size` bytes, all within `attributes`, and writes none but
    // that size, which is within it, too.
    unsafe { libc::syscall(libc::SYS_sched_setattr, THIS_THREAD, &raw mut attributes, NO_FLAGS) };
}

/// Also where that cannot be found out.
#[cfg(target_os = "linux")]
fn calls_are_filtered() -> bool {
    /// Of this file more than all but the longest lists of groups; taken at once, as `open` waits.
    const ENOUGH: u64 = 4 << 10;
    let mut status = String::with_capacity(ENOUGH as usize);
    let told = std::fs::File::open("/proc/thread-self/status")
        .and_then(|file| file.take(ENOUGH).read_to_string(&mut status));
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    told.is_err() || mode.is_none_or(|mode| mode.trim() != "0")
}

/// Elsewhere nothing is asked for.
#[cfg(not(target_os = "linux"))]
pub(super) fn ask_for_short_ones() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The slice of this thread in nanoseconds, on a kernel that lets it be chosen and told.
    fn slice() -> Option<u64> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
        if (numbers.next()?, numbers.next()?) < (6, 12) {
            return None;
        }
        let text = std::fs::read_to_string("/proc/thread-self/sched").ok()?;
        let line = text.lines().find(|line| line.starts_with("se.slice"))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    fn nice() -> i32 {
        rustix::process::getpriority_process(None).expect("a thread knows its own")
    }

    #[test]
    fn slices_are_short_and_niceness_stays() {
        let nicer = std::thread::spawn(|| {
            rustix::process::setpriority_process(None, nice() + 1).unwrap();
            let (nice_before, slice_before) = (nice(), slice());
            ask_for_short_ones();
            assert_eq!(nice(), nice_before);
            let expected = if calls_are_filtered() { slice_before } else { Some(SLICE_NANOS) };
            assert!(slice().is_none() || slice() == expected, "{:?} and not {expected:?}", slice());
        });
        nicer.join().unwrap();
    }
}
