//! Encrypted texts decrypt with each of the right keys and with no other.
#![allow(clippy::unwrap_used)] // helpers of a test

use attestry_crypto::{
    DecryptError, EncryptionManager, Key, decrypt, encrypt, generate_key, looks_encrypted,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_text_round_trips(text in any::<String>()) {
        let manager = EncryptionManager::generate();
        let encrypted = manager.encrypt(&text);
        prop_assert!(looks_encrypted(&encrypted));
        prop_assert_eq!(manager.decrypt(&encrypted), Ok(text));
    }

    #[test]
    fn any_bytes_round_trip(bytes in any::<Vec<u8>>()) {
        let key = generate_key();
        prop_assert_eq!(decrypt(encrypt(&bytes, &key), &key), Ok(bytes));
    }

    #[test]
    fn any_key_round_trips(bytes in any::<[u8; 32]>()) {
        let key = Key::from_bytes(&bytes);
        prop_assert_eq!(URL_SAFE.decode(key.expose_secret()).unwrap(), bytes);
        prop_assert_eq!(key.expose_secret().parse::<Key>().unwrap(), key);
    }

    /// Each of `count` keys decrypts its texts, at any position.
    #[test]
    fn any_of_several_keys_decrypts(count in 1_usize..6, text in any::<String>()) {
        let keys: Vec<Key> = (0..count).map(|_| Key::generate()).collect();
        let manager = EncryptionManager::with_keys(keys[0].clone(), keys[1..].iter().cloned());
        prop_assert_eq!(manager.key(), &keys[0]);
        for key in keys {
            let only = EncryptionManager::new(key);
            prop_assert_eq!(manager.decrypt(&only.encrypt(&text)), Ok(text.clone()));
        }
    }
}

#[test]
fn megabytes_round_trip() {
    let manager = EncryptionManager::generate();
    for length in [1 << 20, (1 << 20) + 1, 5_000_000] {
        let text = "日本語 text ".repeat(length / 15);
        assert_eq!(manager.decrypt(&manager.encrypt(&text)).unwrap(), text);
    }
}

#[test]
fn all_lengths_around_block_size_round_trip() {
    let manager = EncryptionManager::generate();
    for length in 0..200 {
        let text = "x".repeat(length);
        assert_eq!(manager.decrypt(&manager.encrypt(&text)).unwrap(), text);
    }
}

#[test]
fn stored_form_is_token_in_padded_base64url() {
    let manager = EncryptionManager::generate();
    for length in 0..50 {
        let text = "x".repeat(length);
        let token = URL_SAFE.decode(manager.encrypt(&text)).unwrap();
        assert_eq!(decrypt(&token, manager.key()).unwrap(), text.as_bytes());
        let bytes = URL_SAFE.decode(token).unwrap();
        assert_eq!(bytes[0], 0x80);
        assert_eq!(bytes.len(), 1 + 8 + 16 + (length / 16 + 1) * 16 + 32);
    }
}

#[test]
fn equal_texts_encrypt_differently() {
    let manager = EncryptionManager::generate();
    let all: std::collections::HashSet<_> = (0..1000).map(|_| manager.encrypt("same")).collect();
    assert_eq!(all.len(), 1000);
}

#[test]
fn other_keys_do_not_decrypt() {
    let encrypted = EncryptionManager::generate().encrypt("secret");
    let others = EncryptionManager::with_keys(Key::generate(), [Key::generate(), Key::generate()]);
    assert_eq!(others.decrypt(&encrypted), Err(DecryptError::NotAuthentic));
    assert_eq!(others.rotate(&encrypted), Err(DecryptError::NotAuthentic));
}

#[test]
fn rotated_text_needs_only_the_first_key() {
    let (old, new) = (Key::generate(), Key::generate());
    let encrypted = EncryptionManager::new(old.clone()).encrypt("secret");
    let both = EncryptionManager::with_keys(new.clone(), [old.clone()]);
    let new = EncryptionManager::new(new);
    assert_eq!(new.decrypt(&encrypted), Err(DecryptError::NotAuthentic));

    let rotated = both.rotate(&encrypted).unwrap();
    assert_eq!(new.decrypt(&rotated).unwrap(), "secret");
    assert_eq!(EncryptionManager::new(old).decrypt(&rotated), Err(DecryptError::NotAuthentic));

    let again = both.rotate(&rotated).unwrap();
    assert_ne!(again, rotated);
    assert_eq!(new.decrypt(&again).unwrap(), "secret");
    assert_eq!(both.rotate("nothing of ours"), Err(DecryptError::NotBase64));
}

#[test]
fn manager_is_shared_between_threads() {
    let manager = EncryptionManager::generate();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let manager = manager.clone();
            scope.spawn(move || {
                for turn in 0..100 {
                    let text = format!("{thread}.{turn}");
                    assert_eq!(manager.decrypt(&manager.encrypt(&text)).unwrap(), text);
                }
            });
        }
    });
}
