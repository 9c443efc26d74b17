//! Signing keys in files and in the environment.
#![allow(clippy::unwrap_used)] // helpers outside of the test functions

use std::error::Error;
use std::fs;
use std::path::Path;

use attestry_evidence::{InvalidKey, KeyError, KeySource, SigningKey};
use tempfile::TempDir;

#[test]
fn written_key_is_read_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("signing.key");
    let key = SigningKey::generate("example.com/audit").unwrap();
    key.write_new_file(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", *key.expose_secret()));
    assert_eq!(*SigningKey::from_file(&path).unwrap().expose_secret(), *key.expose_secret());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    let other = SigningKey::generate("example.com/audit").unwrap();
    let exists = other.write_new_file(&path).unwrap_err();
    assert!(matches!(&exists, KeyError::AlreadyExists { path: at } if *at == path));
    assert_eq!(SigningKey::from_file(&path).unwrap().public(), key.public());
}

/// Writes a file as a key file has to be.
fn write_private(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn errors_name_the_file_and_hide_the_key() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("signing.key");
    let missing = SigningKey::from_file(&path).unwrap_err();
    let expected = format!("cannot read the key file {}", path.display());
    assert_eq!(missing.to_string(), expected);

    let key = SigningKey::generate("example.com/audit").unwrap();
    let text = key.expose_secret();
    write_private(&path, format!("# since May\n{}\n", &text[..text.len() - 1]));
    let invalid = SigningKey::from_file(&path).unwrap_err();
    assert!(matches!(
        &invalid,
        KeyError::Invalid { origin: KeySource::File(at), position: 2, source: InvalidKey::NotBase64 }
            if *at == path
    ));
    let secret = &text[text.len() - 40..text.len() - 1];
    let shown = format!("{invalid:?} {invalid} {}", invalid.source().unwrap());
    assert!(!shown.contains(secret), "{shown}");

    write_private(&path, format!("{}\n{}\n", *text, *text));
    let several = SigningKey::from_file(&path).unwrap_err();
    assert!(matches!(several, KeyError::SeveralKeys { count: 2, .. }));
    write_private(&path, [0xff; 40]);
    let not_utf8 = SigningKey::from_file(&path).unwrap_err();
    assert!(matches!(not_utf8, KeyError::Invalid { source: InvalidKey::Malformed { .. }, .. }));
}

/// Variables can only be set safely for a child process, so this test runs itself as one.
#[test]
fn key_is_read_from_the_environment() {
    const NAME: &str = "ATTESTRY_TEST_SIGNING_KEY";
    let key = SigningKey::from_seed("audit,example.com", &[7; 32]).unwrap();
    if std::env::var_os(NAME).is_none() {
        let unset = SigningKey::from_env(NAME).unwrap_err();
        assert_eq!(unset.to_string(), format!("the environment variable {NAME} is not set"));
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "key_is_read_from_the_environment"])
            .env(NAME, format!(" {}\n", *key.expose_secret()))
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    assert_eq!(SigningKey::from_env(NAME).unwrap().public(), key.public());
}
