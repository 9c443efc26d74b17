//! Plain Fernet tokens of bytes: AES-128-CBC, signed with HMAC-SHA-256, in URL-safe base64.

use std::time::{SystemTime, UNIX_EPOCH};

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::inout::InOutBuf;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use base64_simd::URL_SAFE;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::structure::{self, BLOCK, HEAD, TAIL, VERSION};
use crate::{DecryptError, Key};

/// How many bytes are encrypted, then signed, in turn. A block of the cipher needs the one before it,
/// and so does one of the hash; taking turns, the processor has both to work on at once.
const TURN: usize = 4 * BLOCK;

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
    let mut iv = [0; BLOCK];
    getrandom::fill(&mut iv).expect("the operating system gives random bytes");
    URL_SAFE.encode_to_string(sealed(data, key, timestamp, iv))
}

/// The bytes of a token.
fn sealed(data: &[u8], key: &Key, timestamp: u64, iv: [u8; BLOCK]) -> Vec<u8> {
    // PKCS #7: as many bytes as are missing, each saying how many; never none.
    let padding = BLOCK - data.len() % BLOCK;
    let end = HEAD + data.len() + padding;
    // Of its final size from the start, so that it never moves and leaves plaintext behind.
    let mut token = Vec::with_capacity(end + TAIL);
    token.push(VERSION);
    token.extend_from_slice(&timestamp.to_be_bytes());
    token.extend_from_slice(&iv);
    token.extend_from_slice(data);
    token.resize(end, u8::try_from(padding).unwrap_or_default());

    let mut cipher = cbc::Encryptor::<Aes128>::new(key.encryption().into(), &iv.into());
    let mut signature = signer(key);
    let mut signed = 0;
    for start in (HEAD..end).step_by(TURN) {
        let turn = &mut token[start..end.min(start + TURN)];
        let (blocks, _) = InOutBuf::from(turn).into_chunks();
        cipher.encrypt_blocks_inout_mut(blocks);
        // One turn behind: what was encrypted a moment ago is not there yet.
        signature.update(&token[signed..start]);
        signed = start;
    }
    signature.update(&token[signed..]);
    token.extend_from_slice(&signature.finalize().into_bytes());
    token
}

/// Opens `token` with the first of `keys` that it was made with.
pub(crate) fn open(token: &[u8], keys: &[Key]) -> Result<Opened, DecryptError> {
    let (mut bytes, timestamp) = structure::decode(token)?;
    let end = bytes.len() - TAIL;
    let (signed, signature) = bytes.split_at(end);
    // Takes the same time wherever the signature differs.
    let key =
        keys.iter().find(|key| signer(key).chain_update(signed).verify_slice(signature).is_ok());
    let key = key.ok_or(DecryptError::NotAuthentic)?;
    let (head, ciphertext) = bytes[..end].split_at_mut(HEAD);
    let iv = &head[HEAD - BLOCK..];
    // Signed with the key, and yet with a padding that nobody makes.
    let length = cbc::Decryptor::<Aes128>::new(key.encryption().into(), iv.into())
        .decrypt_padded_mut::<Pkcs7>(ciphertext)
        .map_err(|_| DecryptError::NotAuthentic)?
        .len();
    bytes.truncate(HEAD + length);
    bytes.drain(..HEAD);
    Ok(Opened { plaintext: bytes, timestamp })
}

fn signer(key: &Key) -> Hmac<Sha256> {
    <Hmac<Sha256> as Mac>::new_from_slice(key.signing()).expect("HMAC takes keys of any length")
}

/// Seconds since 1970; a clock set before then counts as 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fernet::Fernet;
    use proptest::prelude::*;

    /// `generate.json` of the specification.
    #[test]
    fn makes_the_token_of_the_specification() {
        let key: Key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=".parse().unwrap();
        let iv = std::array::from_fn(|place| u8::try_from(place).unwrap());
        let bytes = sealed(b"hello", &key, 499_162_800, iv);
        assert_eq!(
            URL_SAFE.encode_to_string(bytes),
            "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="
        );
    }

    proptest! {
        /// The `fernet` crate, which is not ours, opens what we seal and the other way round.
        #[test]
        fn agrees_with_another_program(data in proptest::collection::vec(any::<u8>(), 0..400)) {
            let key = Key::generate();
            let other = Fernet::new(key.expose_secret()).unwrap();
            prop_assert_eq!(other.decrypt(&encrypt(&data, &key)), Ok(data.clone()));
            prop_assert_eq!(decrypt(other.encrypt(&data), &key), Ok(data));
        }
    }
}
