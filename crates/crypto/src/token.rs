//! Fernet tokens of bytes, made and read by the `fernet` crate.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::DecryptError;
use crate::key::Key;
use crate::structure;

/// The time to decrypt at: the `fernet` crate rejects tokens that are more than 60 seconds newer, and
/// adds these to the time unchecked.
const ACCEPT_ANY_TIMESTAMP: u64 = u64::MAX - 60;

/// Encrypts `data` with `key` and returns a Fernet token, which is ASCII text.
///
/// The token contains the time of encryption, readable without the key. Equal data give a different
/// token each time. [`EncryptionManager::encrypt`](crate::EncryptionManager::encrypt) returns the
/// form that entries store.
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
    // `Fernet::encrypt` panics if the clock is set before 1970. An unset clock must not lose a record.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    encrypt_at(data.as_ref(), key, now)
}

/// Decrypts a Fernet token that was encrypted with `key`, by this crate or any other Fernet
/// implementation.
///
/// Tokens of any age are accepted, also with timestamps in the future: an audit record must stay
/// readable whatever the clocks did.
///
/// # Errors
///
/// [`DecryptError`]; never [`NotUtf8`](DecryptError::NotUtf8).
pub fn decrypt(token: impl AsRef<[u8]>, key: &Key) -> Result<Vec<u8>, DecryptError> {
    decrypt_with(token.as_ref(), std::slice::from_ref(key)).map(|decrypted| decrypted.plaintext)
}

pub(crate) struct Decrypted {
    pub(crate) plaintext: Vec<u8>,
    /// When the token was made, in seconds since 1970.
    pub(crate) timestamp: u64,
}

/// Encrypts `data` into a token with this timestamp, in seconds since 1970.
pub(crate) fn encrypt_at(data: &[u8], key: &Key, timestamp: u64) -> String {
    key.fernet().encrypt_at_time(data, timestamp)
}

/// Decrypts `token` with the first of `keys` that authenticates it. `fernet::MultiFernet` is no
/// alternative: it rejects timestamps in the future.
pub(crate) fn decrypt_with(token: &[u8], keys: &[Key]) -> Result<Decrypted, DecryptError> {
    let (text, timestamp) = structure::check(token)?;
    keys.iter()
        .find_map(|key| key.fernet().decrypt_at_time(text, None, ACCEPT_ANY_TIMESTAMP).ok())
        .map(|plaintext| Decrypted { plaintext, timestamp })
        .ok_or(DecryptError::NotAuthentic)
}
