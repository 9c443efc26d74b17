//! Damaged encrypted texts give an error, never a wrong text.
#![allow(clippy::unwrap_used)] // helpers of a test

use attestry_crypto::{DecryptError, EncryptionManager, decrypt, encrypt, looks_encrypted};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use proptest::prelude::*;

const TEXT: &str = "a sensitive text of more than one block, namely four";

/// The bytes of a token under both layers of base64.
fn bytes_of(encrypted: &str) -> Vec<u8> {
    URL_SAFE.decode(URL_SAFE.decode(encrypted).unwrap()).unwrap()
}

/// Both layers of base64 around `bytes`.
fn encrypted_from(bytes: &[u8]) -> String {
    URL_SAFE.encode(URL_SAFE.encode(bytes))
}

#[test]
fn altered_token_byte_is_rejected() {
    let manager = EncryptionManager::generate();
    let bytes = bytes_of(&manager.encrypt(TEXT));
    for index in 0..bytes.len() {
        for change in 1..=255 {
            let mut altered = bytes.clone();
            altered[index] ^= change;
            let expected = match index {
                0 => DecryptError::UnknownVersion,
                _ => DecryptError::NotAuthentic,
            };
            assert_eq!(
                manager.decrypt(&encrypted_from(&altered)),
                Err(expected),
                "byte {index}, {change:#04x}"
            );
        }
    }
}

/// Trailing bits and padding of base64 allow no second form of a token.
#[test]
fn altered_stored_character_is_rejected() {
    let manager = EncryptionManager::generate();
    // One text for each amount of padding that the outer layer can have.
    for text in ["", "0123456789abcdef", "0123456789abcdef0123456789abcdef"] {
        let encrypted = manager.encrypt(text);
        for index in 0..encrypted.len() {
            for character in (0..128).map(char::from) {
                let mut altered = encrypted.clone();
                altered.replace_range(index..=index, &character.to_string());
                if altered != encrypted {
                    assert!(manager.decrypt(&altered).is_err(), "{character:?} at {index}");
                }
            }
        }
    }
}

#[test]
fn altered_token_character_is_rejected() {
    let manager = EncryptionManager::generate();
    for text in ["", "0123456789abcdef", "0123456789abcdef0123456789abcdef"] {
        let token = encrypt(text, manager.key());
        for index in 0..token.len() {
            for byte in 0..=255 {
                let mut altered = token.clone().into_bytes();
                altered[index] = byte;
                if altered != token.as_bytes() {
                    assert!(decrypt(&altered, manager.key()).is_err(), "{byte} at {index}");
                    assert!(manager.decrypt(&URL_SAFE.encode(&altered)).is_err());
                }
            }
        }
    }
}

#[test]
fn truncated_text_is_rejected() {
    let manager = EncryptionManager::generate();
    let encrypted = manager.encrypt(&TEXT.repeat(5));
    let (mut truncated, mut not_authentic) = (0, 0);
    for length in 0..encrypted.len() {
        match manager.decrypt(&encrypted[..length]) {
            Err(DecryptError::Truncated) => truncated += 1,
            // The cut leaves whole blocks: only the HMAC detects it.
            Err(DecryptError::NotAuthentic) => not_authentic += 1,
            other => panic!("{length}: {other:?}"),
        }
        assert!(manager.decrypt(&encrypted[encrypted.len() - length..]).is_err());
    }
    assert!(truncated > 20 * not_authentic, "{truncated} to {not_authentic}");

    let bytes = bytes_of(&encrypted);
    for length in 0..bytes.len() {
        let whole_blocks = length >= 73 && length % 16 == 73 % 16;
        let expected =
            if whole_blocks { DecryptError::NotAuthentic } else { DecryptError::Truncated };
        assert_eq!(manager.decrypt(&encrypted_from(&bytes[..length])), Err(expected), "{length}");
    }
}

#[test]
fn extended_text_is_rejected() {
    let manager = EncryptionManager::generate();
    for text in ["", TEXT] {
        let encrypted = manager.encrypt(text);
        let token = encrypt(text, manager.key());
        for addition in ["=", "==", "===", "====", "A", "AAAA", "\n", " ", "\0", "é"] {
            assert!(manager.decrypt(&format!("{encrypted}{addition}")).is_err(), "{addition:?}");
            assert!(manager.decrypt(&format!("{addition}{encrypted}")).is_err(), "{addition:?}");
            let token = format!("{token}{addition}");
            assert!(decrypt(&token, manager.key()).is_err(), "{addition:?}");
            assert!(manager.decrypt(&URL_SAFE.encode(token)).is_err(), "{addition:?}");
        }
        for stripped in [encrypted.trim_end_matches('='), token.trim_end_matches('=')] {
            assert!(stripped.len() % 4 == 0 || manager.decrypt(stripped).is_err());
        }
    }
}

#[test]
fn token_and_stored_form_are_not_interchangeable() {
    let manager = EncryptionManager::generate();
    let token = encrypt(TEXT, manager.key());
    assert!(manager.decrypt(&token).is_err());
    assert!(decrypt(manager.encrypt(TEXT), manager.key()).is_err());
    assert!(!looks_encrypted(&token));
}

#[test]
fn plain_text_does_not_look_encrypted() {
    let manager = EncryptionManager::generate();
    for text in ["", "What is 2+2?", "test", "Z0FBQUFB", "Z1", "Zürich", &"Z0FB".repeat(100)] {
        assert!(!looks_encrypted(text), "{text}");
        assert!(manager.decrypt(text).is_err(), "{text}");
    }
}

#[test]
fn errors_contain_no_secret() {
    let manager = EncryptionManager::generate();
    let encrypted = manager.encrypt(TEXT);
    let error = EncryptionManager::generate().decrypt(&encrypted).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the encrypted text was made with another key, or it was altered"
    );
    assert_eq!(format!("{error:?}"), "NotAuthentic");
}

proptest! {
    #[test]
    fn arbitrary_text_is_rejected_without_panic(text in any::<String>()) {
        prop_assert!(EncryptionManager::generate().decrypt(&text).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_rejected_without_panic(mut bytes in any::<Vec<u8>>(), version in any::<bool>()) {
        if let (true, Some(first)) = (version, bytes.first_mut()) {
            *first = 0x80;
        }
        let manager = EncryptionManager::generate();
        prop_assert!(decrypt(&bytes, manager.key()).is_err());
        prop_assert!(decrypt(URL_SAFE.encode(&bytes), manager.key()).is_err());
        prop_assert!(manager.decrypt(&encrypted_from(&bytes)).is_err());
    }

    /// `looks_encrypted` is true exactly when `decrypt` fails for its key only.
    #[test]
    fn looks_encrypted_agrees_with_decrypt(
        mut bytes in proptest::collection::vec(any::<u8>(), 60..140),
        version in prop_oneof![9 => Just(0x80), 1 => any::<u8>()],
        change in prop_oneof![3 => Just(None), 1 => any::<(prop::sample::Index, char)>().prop_map(Some)],
    ) {
        bytes[0] = version;
        let mut text = encrypted_from(&bytes);
        if let Some((index, character)) = change {
            let index = index.index(text.len());
            text.replace_range(index..=index, &character.to_string());
        }
        let error = EncryptionManager::generate().decrypt(&text).unwrap_err();
        prop_assert_eq!(looks_encrypted(&text), error == DecryptError::NotAuthentic);
    }
}
