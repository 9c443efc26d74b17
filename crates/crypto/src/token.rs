//! Plain Fernet tokens of bytes: AES-128-CBC, signed with HMAC-SHA-256, in URL-safe base64.

use std::time::{SystemTime, UNIX_EPOCH};

use aes::Aes128Dec;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockModeDecrypt,
    BlockSizeUser, InnerIvInit,
};
use base64_simd::URL_SAFE;
use hmac::digest::core_api::{Block, Buffer, FixedOutputCore, UpdateCore};
use hmac::{Hmac, HmacCore, Mac};
use sha2::Sha256;

use crate::structure::{self, BLOCK, HEAD, TAIL, VERSION};
use crate::{DecryptError, Key, iv};

/// What the hash takes in at once. As many bytes are encrypted in turn.
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
    URL_SAFE.encode_to_string(sealed(data, key, timestamp, iv::new(key)))
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

    let mut signer = key.signer();
    key.cipher().encrypt_with_backend(EncryptAndSign {
        token: &mut token,
        iv,
        signer: &mut signer,
    });
    // The last bytes, which fill no block of the hash.
    let mut rest = Buffer::<HmacCore<Sha256>>::new(token.chunks_exact(TURN).remainder());
    let mut signature = Default::default();
    signer.finalize_fixed_core(&mut rest, &mut signature);
    token.extend_from_slice(&signature);
    token
}

/// Encrypts a token in place from its head on, in CBC mode, and signs all of it but what does not
/// fill a block of the hash.
///
/// A block of the cipher needs the one before it, and so does one of the hash, so each alone leaves
/// the processor waiting. Taking turns, it has both to work on at once: as long as the code between
/// is short and the cipher's state stays in a register, which is why this goes inside the cipher's
/// backend, and why the hash is given whole blocks without a buffer before it.
struct EncryptAndSign<'a> {
    token: &'a mut [u8],
    iv: [u8; BLOCK],
    signer: &'a mut HmacCore<Sha256>,
}

impl BlockSizeUser for EncryptAndSign<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for EncryptAndSign<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, cipher: &B) {
        let Self { token, iv, signer } = self;
        let mut state = aes::Block::from(iv);
        let mut signed = 0;
        for start in (HEAD..token.len()).step_by(TURN) {
            let end = token.len().min(start + TURN);
            for block in token[start..end].chunks_exact_mut(BLOCK) {
                for (byte, plain) in state.iter_mut().zip(&*block) {
                    *byte ^= plain;
                }
                cipher.encrypt_block((&mut state).into());
                block.copy_from_slice(&state);
            }
            // Up to where this turn began: what it encrypted is not there yet.
            signed += sign_blocks(signer, &token[signed..start]);
        }
        sign_blocks(signer, &token[signed..]);
    }
}

/// Signs the whole blocks at the front of `bytes`; how many bytes these are.
#[inline(always)]
fn sign_blocks(signer: &mut HmacCore<Sha256>, bytes: &[u8]) -> usize {
    let blocks = bytes.chunks_exact(TURN);
    let signed = bytes.len() - blocks.remainder().len();
    for block in blocks {
        signer.update_blocks(std::slice::from_ref(Block::<HmacCore<Sha256>>::from_slice(block)));
    }
    signed
}

/// Opens `token` with the first of `keys` that it was made with.
pub(crate) fn open(token: &[u8], keys: &[Key]) -> Result<Opened, DecryptError> {
    let (mut bytes, timestamp) = structure::decode(token)?;
    let end = bytes.len() - TAIL;
    let (signed, signature) = bytes.split_at(end);
    let key = keys.iter().find(|key| {
        let signer = Hmac::from_core(key.signer()).chain_update(signed);
        // Takes the same time wherever the signature differs.
        signer.verify_slice(signature).is_ok()
    });
    let key = key.ok_or(DecryptError::NotAuthentic)?;
    let (head, ciphertext) = bytes[..end].split_at_mut(HEAD);
    let iv = &head[HEAD - BLOCK..];
    // Signed with the key, and yet with a padding that nobody makes.
    let length = cbc::Decryptor::inner_iv_slice_init(Aes128Dec::from(key.cipher()), iv)
        .expect("the head ends with a whole block")
        .decrypt_padded::<Pkcs7>(ciphertext)
        .map_err(|_| DecryptError::NotAuthentic)?
        .len();
    bytes.truncate(HEAD + length);
    bytes.drain(..HEAD);
    Ok(Opened { plaintext: bytes, timestamp })
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
