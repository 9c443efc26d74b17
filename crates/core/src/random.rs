//! Random bytes for ids. Asking the operating system for each id alone would take nearly as long as
//! serialising the entry, so many are asked for at once.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many bytes an id takes.
const BYTES: usize = 16;

/// For how many ids a thread asks at once.
const IDS: usize = 64;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; BYTES * IDS], left: 0 }) };
}

struct Pool {
    bytes: [u8; BYTES * IDS],
    /// Of `bytes`, those at the front that nobody has had.
    left: usize,
}

/// Bytes for one id.
///
/// # Panics
///
/// When the operating system's random number generator fails.
pub(crate) fn bytes() -> [u8; BYTES] {
    let random = u128::from_ne_bytes(POOL.with_borrow_mut(Pool::take));
    // A process that was forked, or a machine that was started twice from one image, has the same
    // pool as the other. The nanosecond keeps their ids apart, and bytes as random as they were.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (random ^ now.as_nanos()).to_ne_bytes()
}

impl Pool {
    fn take(&mut self) -> [u8; BYTES] {
        if self.left == 0 {
            getrandom::fill(&mut self.bytes).expect("the operating system gives random bytes");
            self.left = self.bytes.len();
        }
        self.left -= BYTES;
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&self.bytes[self.left..self.left + BYTES]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_handed_out_once() {
        let mut pool = Pool { bytes: [0; BYTES * IDS], left: 0 };
        let taken: std::collections::HashSet<_> = (0..IDS * 3).map(|_| pool.take()).collect();
        assert_eq!(taken.len(), IDS * 3);
    }

    #[test]
    fn a_process_that_inherits_the_pool_makes_other_ids() {
        // As after a fork: the same bytes are left on both sides.
        let copy = || {
            POOL.with_borrow_mut(|pool| {
                *pool = Pool { bytes: [7; BYTES * IDS], left: BYTES * IDS }
            });
            std::thread::sleep(std::time::Duration::from_micros(1));
            bytes()
        };
        assert_ne!(copy(), copy());
        POOL.with_borrow_mut(|pool| pool.left = 0);
    }
}
