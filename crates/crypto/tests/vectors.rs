//! Tokens of other implementations: the vectors of the Fernet specification, and Python's.
#![allow(clippy::unwrap_used)] // helpers of a test

use attestry_crypto::{DecryptError, EncryptionManager, Key, decrypt, looks_encrypted};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

/// The secret of all vectors of the specification.
const SPEC_KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
/// `generate.json` and `verify.json`: "hello".
const SPEC_TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

#[test]
fn valid_spec_vector_decrypts() {
    let key: Key = SPEC_KEY.parse().unwrap();
    assert_eq!(decrypt(SPEC_TOKEN, &key).unwrap(), b"hello");
    let manager = EncryptionManager::new(key);
    assert_eq!(manager.decrypt(&URL_SAFE.encode(SPEC_TOKEN)).unwrap(), "hello");
}

/// `invalid.json`, without its two vectors about time, which is not checked here.
#[test]
fn invalid_spec_vectors_are_rejected() {
    let key: Key = SPEC_KEY.parse().unwrap();
    for (defect, token, expected) in [
        (
            "incorrect mac",
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
            DecryptError::NotAuthentic,
        ),
        (
            "too short",
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
            DecryptError::Truncated,
        ),
        (
            "invalid base64",
            "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
            DecryptError::NotBase64,
        ),
        (
            "payload size not multiple of block size",
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
            DecryptError::Truncated,
        ),
        (
            "payload padding error",
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
            DecryptError::NotAuthentic,
        ),
        (
            "incorrect IV (causes padding error)",
            "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
            DecryptError::NotAuthentic,
        ),
    ] {
        assert_eq!(decrypt(token, &key), Err(expected), "{defect}");
    }
}

#[test]
fn spec_vectors_of_any_age_decrypt() {
    let key: Key = SPEC_KEY.parse().unwrap();
    for (defect, token) in [
        (
            "far-future TS (unacceptable clock skew)",
            "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-iX9b_qXQcw==",
        ),
        (
            "expired TTL",
            "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
        ),
    ] {
        assert_eq!(decrypt(token, &key).unwrap(), b"", "{defect}");
    }
}

/// Made for this test by `cryptography.fernet` 50.0.2.
const PYTHON_KEY: &str = "_C4gfsE3bv09Wja9Nmk2n20UzqEovGyv8Db7ftSmIyg=";

/// By `rotalabs_comply.audit.EncryptionManager(PYTHON_KEY).encrypt`, version 1.1.0.
const PYTHON_CONTENTS: [(&str, &str); 4] = [
    (
        "",
        "Z0FBQUFBQnJCR3pGMzVhd3N6NHAwTGhIdGE2M2hBZXdrcEIycGZRcktJQ2dwMDBybk5NeUhIeXZuS3RlTUFaSlpJTm5HWS1mSjRSMmxoTTdVOWpPVE5OSzFQcEx4dHA5Y3c9PQ==",
    ),
    (
        "hello",
        "Z0FBQUFBQnJCR3pGeWNIYWlnd3l3U1ViWjNVVDlhYXJCVGphTk9yQi1CQWpyMl9zdVV2VGxXZFBEbGxLbWJTV2gwUWpsSmJubjQ2SEJJczhQQU5wWW93MmFPV0YxendZSWc9PQ==",
    ),
    (
        "Grüße, 日本 🦀\n\0\"",
        "Z0FBQUFBQnJCR3pGUTdCdlNNemxoMHpsaDZqaWUycE9hWVRjSmVKV1VMYzlVS2ZJU1BMMEpYU2p6NkFxOUhfcXlmdzFYbXA4cmtaOXNZNXZhWXQ3S2VSRnZlTjktaGtvbFp5dWFZbHFTT0JoMW0tdmVzVWYwTjg9",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "Z0FBQUFBQnJCR3pGWGNENDJKZHBUU0hUOFQ5LTBCckNLZl84anBtLS01UGh3SEhJOVJsUlp2NV81a0h4YUNJSGg4UFZNSjdyVE1NYW5JYWk2YTVVVHotRWMyc2NtLU51aGV6VzVlUXoxOGhxZy00eTJKOTVNZmdCSWZES29lYXBJd3V6bV9reWhQUTQ=",
    ),
];

/// By `Fernet(PYTHON_KEY).encrypt_at_time`, encoded once more.
const PYTHON_AT_ANY_TIME: [(u64, &str, &str); 3] = [
    (
        0,
        "1970",
        "Z0FBQUFBQUFBQUFBMTZ1cjJlYWI1bS1HMzdyUThWSUQ0OU1pNVNKdHBfeURYbkNkQWx2SkhDcmlITjdtRjJSNXhaQzlWMEhpLU5VcjdRbzJYUmlPb2dWaDM2bGNhc2xobFE9PQ==",
    ),
    (
        4_000_000_000,
        "from 2096",
        "Z0FBQUFBRHVheWdBU2FhaEpuT3VRUHQyeUZiOWtleTc2Y1Z5MTRveGE5U05IUnhOb2RSTGNMWkUxRkhNU3FBSDBoal8yWFZiYkJNb04xR01WLWtnU1djUWpEcVNsWi12ZGc9PQ==",
    ),
    (
        u64::MAX,
        "the last second",
        "Z1BfX19fX19fX19fenljeF9vajA4VUxxV0ZaUFY4aVdsTXpMRW5sbnlCS3N3d1FPN1l1WGd4Y05VaUVBWVFwWmxoR24wWkVYbUpCbU1NRnJHSkpQd09xSjJlSWJTTmtDeUE9PQ==",
    ),
];

/// The encryption of the bytes `ff fe 00`.
const PYTHON_NOT_UTF8: &str = "Z0FBQUFBQnJCR3pGQmZzam1wTTJTS2t0aVlsRjE2cGdyS0dHc24tQl9abFFDYlZDV0tWXzduYk9BSy02VHdLT29Tdll5VVhEdEFGRDRVMHFfQXFEQ2l2M1BJOWNBVV9YelE9PQ==";

fn python_manager() -> EncryptionManager {
    EncryptionManager::new(PYTHON_KEY.parse().unwrap())
}

#[test]
fn python_content_decrypts() {
    for (text, encrypted) in PYTHON_CONTENTS {
        assert!(looks_encrypted(encrypted));
        assert_eq!(python_manager().decrypt(encrypted).as_deref(), Ok(text));
    }
}

#[test]
fn python_content_has_the_same_form() {
    for (text, encrypted) in PYTHON_CONTENTS {
        let ours = python_manager().encrypt(text);
        assert_eq!(ours.len(), encrypted.len());
        // The version and the upper half of the time; below it the time and random bytes begin.
        assert_eq!(ours[..8], encrypted[..8]);
    }
}

#[test]
fn tokens_of_any_timestamp_decrypt() {
    for (time, text, encrypted) in PYTHON_AT_ANY_TIME {
        assert!(looks_encrypted(encrypted), "{time}");
        assert_eq!(python_manager().decrypt(encrypted).as_deref(), Ok(text), "{time}");
    }
}

#[test]
fn rotate_keeps_the_timestamp() {
    let manager = EncryptionManager::with_keys(Key::generate(), [PYTHON_KEY.parse().unwrap()]);
    for (time, text, encrypted) in PYTHON_AT_ANY_TIME {
        let rotated = manager.rotate(encrypted).unwrap();
        assert_eq!(manager.decrypt(&rotated).as_deref(), Ok(text));
        assert_eq!(python_manager().decrypt(&rotated), Err(DecryptError::NotAuthentic));
        let token = URL_SAFE.decode(URL_SAFE.decode(&rotated).unwrap()).unwrap();
        assert_eq!(token[1..9], time.to_be_bytes());
    }
}

#[test]
fn non_utf8_content_is_a_distinct_error() {
    let manager = python_manager();
    assert_eq!(manager.decrypt(PYTHON_NOT_UTF8), Err(DecryptError::NotUtf8));
    let token = URL_SAFE.decode(PYTHON_NOT_UTF8).unwrap();
    assert_eq!(decrypt(token, manager.key()).unwrap(), b"\xff\xfe\x00");
    let rotated = manager.rotate(PYTHON_NOT_UTF8).unwrap();
    assert_eq!(manager.decrypt(&rotated), Err(DecryptError::NotUtf8));
}
