//! Initialisation vectors. Two tokens of one key must never share one, and nobody may foresee one.
//!
//! Asking the operating system for each alone took a seventh of an encryption, so a thread asks for
//! many at once. What it is given, mixed with the clock, is a block that never comes twice: a process
//! that was forked, or a machine that was started twice from one image, inherits the random bytes, but
//! not the nanosecond. That block, enciphered with the key, is the vector (NIST SP 800-38A, appendix
//! C): not even one who sees what random bytes are left can foresee it.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use aes::cipher::BlockCipherEncrypt;

use crate::Key;
use crate::structure::BLOCK;

/// For how many vectors a thread asks at once.
const AT_ONCE: usize = 64;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; BLOCK * AT_ONCE], left: 0 }) };
}

struct Pool {
    bytes: [u8; BLOCK * AT_ONCE],
    /// Of `bytes`, those at the front that nobody has had.
    left: usize,
}

/// A vector for one token of `key`.
///
/// # Panics
///
/// When the operating system's random number generator fails.
pub(crate) fn new(key: &Key) -> [u8; BLOCK] {
    let random = u128::from_ne_bytes(POOL.with_borrow_mut(Pool::take));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut block = aes::Block::from((random ^ now.as_nanos()).to_ne_bytes());
    key.cipher().encrypt_block(&mut block);
    block.into()
}

impl Pool {
    fn take(&mut self) -> [u8; BLOCK] {
        if self.left == 0 {
            getrandom::fill(&mut self.bytes).expect("the operating system gives random bytes");
            self.left = self.bytes.len();
        }
        self.left -= BLOCK;
        let mut bytes = [0; BLOCK];
        bytes.copy_from_slice(&self.bytes[self.left..self.left + BLOCK]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn none_comes_twice() {
        let key = Key::generate();
        let mut pool = Pool { bytes: [0; BLOCK * AT_ONCE], left: 0 };
        let taken: HashSet<_> = (0..AT_ONCE * 3).map(|_| pool.take()).collect();
        assert_eq!(taken.len(), AT_ONCE * 3);
        let made: HashSet<_> = (0..AT_ONCE * 3).map(|_| new(&key)).collect();
        assert_eq!(made.len(), AT_ONCE * 3);
    }

    #[test]
    fn a_process_that_inherits_the_random_bytes_makes_others() {
        let key = Key::generate();
        // As after a fork: the same bytes are left on both sides.
        let copy = || {
            POOL.with_borrow_mut(|pool| {
                *pool = Pool { bytes: [7; BLOCK * AT_ONCE], left: BLOCK * AT_ONCE }
            });
            std::thread::sleep(Duration::from_micros(1));
            new(&key)
        };
        assert_ne!(copy(), copy());
        POOL.with_borrow_mut(|pool| pool.left = 0);
    }

    #[test]
    fn the_random_bytes_alone_do_not_tell_it() {
        // They are clear bytes of a time; what is made of them has none of these.
        POOL.with_borrow_mut(|pool| {
            *pool = Pool { bytes: [0; BLOCK * AT_ONCE], left: BLOCK * AT_ONCE }
        });
        let iv = new(&Key::generate());
        // A clock reading has 64 bits at most until the year 2554.
        assert_ne!(iv[8..], [0; 8]);
        POOL.with_borrow_mut(|pool| pool.left = 0);
    }
}
