//! Whether a text is built like a Fernet token, which needs no key to tell.
//!
//! ```text
//! token = base64url(version ‖ timestamp ‖ IV ‖ ciphertext ‖ HMAC)
//! bytes             1         8           16   16·n, n ≥ 1  32
//! ```

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::DecryptError;

/// The only version there is.
pub(crate) const VERSION: u8 = 0x80;
/// What the cipher encrypts at once.
pub(crate) const BLOCK: usize = 16;
/// Version, timestamp and IV, before the ciphertext.
pub(crate) const HEAD: usize = 1 + 8 + BLOCK;
/// The HMAC behind it.
pub(crate) const TAIL: usize = 32;

/// The bytes that `text` is the canonical, padded URL-safe base64 of.
pub(crate) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, DecryptError> {
    URL_SAFE.decode(text).map_err(|_| {
        let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
        let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !text.len().is_multiple_of(4) && text[..end].iter().all(in_alphabet) {
            DecryptError::Truncated
        } else {
            DecryptError::NotBase64
        }
    })
}

/// The bytes of `token`, and when it claims to have been made, in seconds since 1970. It has a
/// head, a ciphertext of whole blocks, and a tail.
pub(crate) fn decode(token: &[u8]) -> Result<(Vec<u8>, u64), DecryptError> {
    let bytes = decode_base64(token)?;
    match bytes.first() {
        None | Some(&VERSION) => {}
        Some(_) => return Err(DecryptError::UnknownVersion),
    }
    let ciphertext = bytes.len().checked_sub(HEAD + TAIL).ok_or(DecryptError::Truncated)?;
    if ciphertext == 0 || !ciphertext.is_multiple_of(BLOCK) {
        return Err(DecryptError::Truncated);
    }
    let timestamp = *bytes[1..].first_chunk().ok_or(DecryptError::Truncated)?;
    Ok((bytes, u64::from_be_bytes(timestamp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token of `length` bytes that begins with `version`.
    fn token(version: u8, length: usize) -> String {
        let mut bytes = vec![7; length];
        bytes[0] = version;
        URL_SAFE.encode(bytes)
    }

    fn check(token: &[u8]) -> Result<u64, DecryptError> {
        decode(token).map(|(_, timestamp)| timestamp)
    }

    #[test]
    fn knows_the_lengths_a_token_can_have() {
        assert_eq!(check(b""), Err(DecryptError::Truncated));
        for length in 1..200 {
            let expected = if [73, 89, 105, 121, 137, 153, 169, 185].contains(&length) {
                Ok(0x0707_0707_0707_0707)
            } else {
                Err(DecryptError::Truncated)
            };
            assert_eq!(check(token(VERSION, length).as_bytes()), expected, "{length}");
        }
    }

    #[test]
    fn knows_the_version() {
        for version in (0..=255).filter(|version| *version != VERSION) {
            let token = token(version, 73);
            assert_eq!(check(token.as_bytes()), Err(DecryptError::UnknownVersion), "{version}");
        }
    }

    #[test]
    fn takes_canonical_base64_only() {
        for (text, expected) in [
            ("AAEC", Ok(vec![0, 1, 2])),
            ("_-8=", Ok(vec![255, 239])),
            ("AAE", Err(DecryptError::Truncated)), // padding missing
            ("A", Err(DecryptError::Truncated)),   // no length of base64
            ("AAE==", Err(DecryptError::Truncated)), // padding in excess
            ("AAEC====", Err(DecryptError::NotBase64)), // padding in excess
            ("AAF=", Err(DecryptError::NotBase64)), // bits beyond the last byte
            ("A=EC", Err(DecryptError::NotBase64)), // padding inside
            ("/+8=", Err(DecryptError::NotBase64)), // the other alphabet
            ("AAEC\n", Err(DecryptError::NotBase64)),
            ("hello world", Err(DecryptError::NotBase64)),
            ("é", Err(DecryptError::NotBase64)),
        ] {
            assert_eq!(decode_base64(text.as_bytes()), expected, "{text:?}");
        }
    }
}
