//! SHA-256 of content, as lower-case hexadecimal.

use sha2::{Digest, Sha256};

/// SHA-256 of the UTF-8 bytes of `content`, as 64 lower-case hexadecimal digits.
///
/// A short or guessable text can be recovered from its hash by trying candidates. If that matters,
/// configure the logger with a keyed hash.
///
/// ```
/// assert_eq!(
///     attestry_core::hash_content("hello world"),
///     "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
/// );
/// ```
#[must_use]
pub fn hash_content(content: &str) -> String {
    to_hex(&Sha256::digest(content.as_bytes()))
}

/// `bytes` as lower-case hexadecimal. Used by the logger's keyed hash; not part of the API.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    let mut hex = vec![0; bytes.len() * 2];
    for (digits, byte) in hex.chunks_exact_mut(2).zip(bytes) {
        digits.copy_from_slice(&DIGITS[usize::from(*byte)]);
    }
    String::from_utf8(hex).unwrap_or_default() // ASCII, so it cannot fail
}

/// The two digits of each byte.
static DIGITS: [[u8; 2]; 256] = {
    let digit = *b"0123456789abcdef";
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = [digit[byte >> 4], digit[byte & 15]];
        byte += 1;
    }
    digits
};

#[cfg(test)]
mod tests {
    use super::{hash_content, to_hex};

    #[test]
    fn hex_digits_are_right_for_every_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let expected: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(to_hex(&all), expected);
    }

    // FIPS 180-4 examples; the second is longer than one block after padding.
    #[test]
    fn sha256_matches_published_vectors() {
        assert_eq!(
            hash_content("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hash_content("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        );
        assert_eq!(
            hash_content(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
