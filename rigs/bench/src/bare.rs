//! What a Fernet token in base64 is made of, without the token: AES-128-CBC, HMAC-SHA-256 and two
//! base64 passes, each into a buffer that is there already, under keys that were prepared before.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, InnerIvInit, KeyInit};
use base64_simd::{AsOut, URL_SAFE};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::Result;

/// Version, time and IV before the ciphertext.
const HEAD: usize = 25;

/// The HMAC behind it.
const TAIL: usize = 32;

/// See the module.
pub(crate) struct Bare {
    cipher: Aes128,
    mac: Hmac<Sha256>,
    iv: [u8; 16],
    token: Vec<u8>,
    length: usize,
    inner: Vec<u8>,
    inner_length: usize,
    outer: Vec<u8>,
}

impl Bare {
    /// Buffers for texts of at most `longest` bytes.
    pub(crate) fn new(longest: usize) -> Result<Self> {
        let room = HEAD + longest + 16 + TAIL;
        Ok(Self {
            cipher: Aes128::new(&[1; 16].into()),
            mac: <Hmac<Sha256> as Mac>::new_from_slice(&[2; 16]).map_err(|e| e.to_string())?,
            iv: [3; 16],
            token: vec![0; room],
            length: HEAD + TAIL,
            inner: vec![0; room * 4 / 3 + 4],
            inner_length: 0,
            outer: vec![0; room * 16 / 9 + 8],
        })
    }

    /// Encrypts the text.
    pub(crate) fn aes(&mut self, text: &[u8]) -> Result<()> {
        let cipher = cbc::Encryptor::inner_iv_init(self.cipher.clone(), &self.iv.into());
        let out = &mut self.token[HEAD..];
        let written = cipher.encrypt_padded_b2b::<Pkcs7>(text, out);
        self.length = HEAD + written.map_err(|_| "the buffer is too small")?.len() + TAIL;
        Ok(())
    }

    /// Signs what was encrypted.
    pub(crate) fn hmac(&mut self) {
        let end = self.length - TAIL;
        let mut mac = self.mac.clone();
        mac.update(&self.token[..end]);
        self.token[end..self.length].copy_from_slice(&mac.finalize().into_bytes());
    }

    /// The base64 that makes the token a text.
    pub(crate) fn inner(&mut self) {
        let token = &self.token[..self.length];
        self.inner_length = URL_SAFE.encode(token, self.inner.as_mut_slice().as_out()).len();
    }

    /// The base64 around that, in which it stands in an entry; how long it is.
    pub(crate) fn outer(&mut self) -> usize {
        let inner = &self.inner[..self.inner_length];
        URL_SAFE.encode(inner, self.outer.as_mut_slice().as_out()).len()
    }

    /// All of them; the length of what comes out.
    pub(crate) fn all(&mut self, text: &[u8]) -> Result<usize> {
        self.aes(text)?;
        self.hmac();
        self.inner();
        Ok(self.outer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_as_much_as_the_real_one() {
        let manager = attestry::crypto::EncryptionManager::generate();
        let mut bare = Bare::new(2_048).unwrap();
        for length in [0, 1, 15, 16, 2_006] {
            let text = "x".repeat(length);
            assert_eq!(bare.all(text.as_bytes()).unwrap(), manager.encrypt(&text).len());
        }
    }
}
