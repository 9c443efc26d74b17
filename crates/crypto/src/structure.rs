//! The checks on a token that need no key.
//!
//! The `fernet` crate reports every failure as one `DecryptionError` and accepts missing or surplus
//! base64 padding. These checks run before it: they give each defect an error of its own, and they
//! accept only the canonical base64 of a token, so that each token has exactly one text.
//!
//! ```text
//! token = base64url(version ‖ timestamp ‖ IV ‖ ciphertext ‖ HMAC)
//! bytes             1         8           16   16·n, n ≥ 1  32
//! ```

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::error::DecryptError;

const VERSION: u8 = 0x80;
const BLOCK: usize = 16;
const HEADER: usize = 1 + 8 + BLOCK;
const HMAC: usize = 32;

/// Decodes canonical, padded URL-safe base64.
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

/// Checks encoding, version and length of `token`. Returns its text and its timestamp, in seconds
/// since 1970; neither is authenticated yet.
pub(crate) fn check(token: &[u8]) -> Result<(&str, u64), DecryptError> {
    let bytes = decode_base64(token)?;
    if bytes.first().is_some_and(|version| *version != VERSION) {
        return Err(DecryptError::UnknownVersion);
    }
    let ciphertext = bytes.len().checked_sub(HEADER + HMAC).ok_or(DecryptError::Truncated)?;
    if ciphertext == 0 || !ciphertext.is_multiple_of(BLOCK) {
        return Err(DecryptError::Truncated);
    }
    let timestamp = *bytes[1..].first_chunk().ok_or(DecryptError::Truncated)?;
    let text = str::from_utf8(token).map_err(|_| DecryptError::NotBase64)?;
    Ok((text, u64::from_be_bytes(timestamp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(version: u8, length: usize) -> String {
        let mut bytes = vec![7; length];
        bytes[0] = version;
        URL_SAFE.encode(bytes)
    }

    fn timestamp(token: &[u8]) -> Result<u64, DecryptError> {
        check(token).map(|(_, timestamp)| timestamp)
    }

    #[test]
    fn accepts_only_lengths_of_whole_blocks() {
        assert_eq!(timestamp(b""), Err(DecryptError::Truncated));
        for length in 1..200 {
            let expected = if [73, 89, 105, 121, 137, 153, 169, 185].contains(&length) {
                Ok(0x0707_0707_0707_0707)
            } else {
                Err(DecryptError::Truncated)
            };
            assert_eq!(timestamp(token(VERSION, length).as_bytes()), expected, "{length}");
        }
    }

    #[test]
    fn accepts_only_version_0x80() {
        for version in (0..=255).filter(|version| *version != VERSION) {
            let token = token(version, 73);
            assert_eq!(timestamp(token.as_bytes()), Err(DecryptError::UnknownVersion), "{version}");
        }
    }

    #[test]
    fn accepts_only_canonical_base64() {
        for (text, expected) in [
            ("AAEC", Ok(vec![0, 1, 2])),
            ("_-8=", Ok(vec![255, 239])),
            ("AAE", Err(DecryptError::Truncated)), // padding missing
            ("A", Err(DecryptError::Truncated)),   // impossible length
            ("AAE==", Err(DecryptError::Truncated)), // surplus padding
            ("AAEC====", Err(DecryptError::NotBase64)), // surplus padding
            ("AAF=", Err(DecryptError::NotBase64)), // non-zero trailing bits
            ("A=EC", Err(DecryptError::NotBase64)), // padding inside
            ("/+8=", Err(DecryptError::NotBase64)), // standard alphabet
            ("AAEC\n", Err(DecryptError::NotBase64)),
            ("hello world", Err(DecryptError::NotBase64)),
            ("é", Err(DecryptError::NotBase64)),
        ] {
            assert_eq!(decode_base64(text.as_bytes()), expected, "{text:?}");
        }
    }
}
