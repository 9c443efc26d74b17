//! Plain Fernet tokens of bytes.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{DecryptError, Key, structure};

/// Encrypts `data` with `key`: a Fernet token, ASCII text.
///
/// It carries the time of its making, readable without the key. Equal data give a different
/// token every time. [`EncryptionManager::encrypt`](crate::EncryptionManager::encrypt) makes the
/// form in which content stands in an entry.
///
/// ```
/// use attestry_crypto::{decrypt, encrypt, generate_key};
///
/// let key = generate_key();
/// let token = encrypt(b"secret message", &key);
/// assert_eq!(decrypt(&token, &key)?, b"secret message");
/// # Ok::<(), attestry_crypto::DecryptError>(())
/// ```
///
/// # Panics
///
/// When the operating system's random number generator fails.
#[must_use]
pub fn encrypt(data: impl AsRef<[u8]>, key: &Key) -> String {
    seal(data.as_ref(), key, now())
}

/// Decrypts a Fernet token that was made with `key`, here or by any other Fernet program.
///
/// The token's age is no concern, nor is its time being in the future: an audit record must stay
/// readable whatever the clocks did.
///
/// # Errors
///
/// [`DecryptError`]; never [`NotUtf8`](DecryptError::NotUtf8).
pub fn decrypt(token: impl AsRef<[u8]>, key: &Key) -> Result<Vec<u8>, DecryptError> {
    open(token.as_ref(), std::slice::from_ref(key)).map(|opened| opened.plaintext)
}

/// What a genuine token holds.
pub(crate) struct Opened {
    pub(crate) plaintext: Vec<u8>,
    /// When it was made, in seconds since 1970.
    pub(crate) timestamp: u64,
}

/// A token of `data` that says it was made at `timestamp`, in seconds since 1970.
pub(crate) fn seal(data: &[u8], key: &Key, timestamp: u64) -> String {
    key.fernet().encrypt_at_time(data, timestamp)
}

/// Opens `token` with the first of `keys` that it was made with.
pub(crate) fn open(token: &[u8], keys: &[Key]) -> Result<Opened, DecryptError> {
    // fernet answers everything with one error, and takes any number of `=` at the end; so what
    // can be told apart without a key is told apart, and refused, before.
    let timestamp = structure::check(token)?;
    let token = str::from_utf8(token).map_err(|_| DecryptError::NotBase64)?;
    keys.iter()
        .find_map(|key| key.fernet().decrypt_at_time(token, None, FAR_FUTURE).ok())
        .map(|plaintext| Opened { plaintext, timestamp })
        .ok_or(DecryptError::NotAuthentic)
}

/// The time that fernet is told it is when it decrypts.
///
/// `Fernet::decrypt` refuses a token made more than 60 s after the present by this machine's
/// clock. Python's does not (it looks at the clock only when given a time to live), and a record
/// must not become unreadable because one of two clocks is off. At this time no token is from the
/// future, for `FAR_FUTURE + 60` is the greatest timestamp there is; one second more, and that sum
/// would overflow. Without a time to live, which is `None` always, no token is too old either.
const FAR_FUTURE: u64 = u64::MAX - 60;

/// Seconds since 1970; a clock set before then counts as 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
