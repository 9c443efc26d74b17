//! Keys in files and in the environment; no output contains them.
#![allow(clippy::unwrap_used)] // helpers of a test

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use attestry_crypto::{EncryptionManager, InvalidKey, Key, KeyError, KeySource};
use tempfile::TempDir;

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}

#[cfg(unix)]
#[test]
fn key_file_that_others_may_access_is_refused() {
    let (_folder, path) = key_file(Key::generate().expose_secret().as_bytes());
    for mode in [0o644, 0o640, 0o606, 0o660] {
        set_mode(&path, mode);
        let error = Key::from_file(&path).unwrap_err();
        assert!(
            matches!(&error, KeyError::Exposed { mode: found, .. } if *found == mode),
            "{error:?}"
        );
        assert!(error.to_string().contains(&format!("chmod 600 {}", path.display())), "{error}");
        assert!(EncryptionManager::from_file(&path).is_err());
    }
    for mode in [0o600, 0o400] {
        set_mode(&path, mode);
        Key::from_file(&path).unwrap();
    }
}

/// A key file with `content`, and its temporary folder.
fn key_file(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.key");
    fs::write(&path, content).unwrap();
    set_mode(&path, 0o600);
    (folder, path)
}

/// The message of `error` and of all its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

#[test]
fn written_key_is_read_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.key");
    let key = Key::generate();
    key.write_new_file(&path).unwrap();

    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", key.expose_secret()));
    assert_eq!(Key::from_file(&path).unwrap(), key);
    assert_eq!(EncryptionManager::from_file(&path).unwrap().key(), &key);
}

#[cfg(unix)]
#[test]
fn key_file_has_mode_0600() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.key");
    Key::generate().write_new_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn key_file_is_never_overwritten() {
    let (_folder, path) = key_file("something precious");
    let error = Key::generate().write_new_file(&path).unwrap_err();
    assert!(matches!(&error, KeyError::AlreadyExists { path: at } if *at == path));
    assert_eq!(
        chain(&error),
        format!("{} exists already; a key file is never overwritten", path.display())
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "something precious");
}

#[cfg(unix)]
#[test]
fn write_does_not_follow_links() {
    let folder = TempDir::new().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(matches!(Key::generate().write_new_file(&link), Err(KeyError::AlreadyExists { .. })));
    assert!(!target.exists());
}

#[test]
fn write_error_names_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("no such folder").join("audit.key");
    let error = Key::generate().write_new_file(&path).unwrap_err();
    assert!(matches!(error, KeyError::Unwritable { .. }));
    let expected = format!("cannot write the key file {}: ", path.display());
    assert!(chain(&error).starts_with(&expected), "{}", chain(&error));
}

#[test]
fn white_space_and_comments_are_ignored() {
    let key = Key::generate();
    let text = key.expose_secret();
    for content in [
        text.to_owned(),
        format!("{text}\n"),
        format!("{text}\r\n"),
        format!("\n\n  {text}\t\n\n"),
        format!("# made in May\r\n\r\n{text}\r\n# nothing more\r\n"),
    ] {
        let (_folder, path) = key_file(&content);
        assert_eq!(Key::from_file(path).unwrap(), key, "{content:?}");
    }
}

#[test]
fn first_key_encrypts_and_all_decrypt() {
    let (new, old, oldest) = (Key::generate(), Key::generate(), Key::generate());
    let (_folder, path) = key_file(format!(
        "# since May\n{}\n\n# until May\n{}\n{}",
        new.expose_secret(),
        old.expose_secret(),
        oldest.expose_secret()
    ));
    let manager = EncryptionManager::from_file(&path).unwrap();
    assert_eq!(manager.key(), &new);
    for key in [new, old, oldest] {
        let encrypted = EncryptionManager::new(key).encrypt("text");
        assert_eq!(manager.decrypt(&encrypted).unwrap(), "text");
    }

    let error = Key::from_file(&path).unwrap_err();
    assert!(matches!(error, KeyError::SeveralKeys { count: 3, .. }));
    assert_eq!(
        chain(&error),
        format!("there are 3 keys in {} where one is expected", path.display())
    );
}

#[test]
fn file_without_key_is_an_error() {
    for content in ["", "\n\n", "# to do\n", " \t\r\n"] {
        let (_folder, path) = key_file(content);
        let error = Key::from_file(&path).unwrap_err();
        assert!(matches!(error, KeyError::NoKey { .. }), "{content:?}");
        assert_eq!(chain(&error), format!("there is no key in {}", path.display()));
    }
}

#[test]
fn invalid_line_is_named_but_not_shown() {
    let key = Key::generate();
    let secret = key.expose_secret();
    let damaged = format!("!{}", &secret[1..]);
    for (line, reason) in
        [(&secret[..43], InvalidKey::WrongLength { length: 43 }), (&damaged, InvalidKey::NotBase64)]
    {
        let (_folder, path) = key_file(format!("{secret}\n\n{line}\n"));
        let error = EncryptionManager::from_file(&path).unwrap_err();
        assert!(matches!(
            &error,
            KeyError::Invalid { origin: KeySource::File(at), position: 3, source }
                if *at == path && *source == reason
        ));
        assert_eq!(chain(&error), format!("line 3 of {} is not a key: {reason}", path.display()));
        for shown in [format!("{error:?}"), chain(&error)] {
            assert!(!shown.contains(&secret[1..43]), "{shown}");
        }
    }
}

#[test]
fn unreadable_key_files_are_errors() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path().to_path_buf(), folder.path().join("missing")] {
        let error = Key::from_file(&path).unwrap_err();
        assert!(matches!(error, KeyError::Unreadable { .. }));
        let expected = format!("cannot read the key file {}: ", path.display());
        assert!(chain(&error).starts_with(&expected), "{}", chain(&error));
    }

    let (_folder, path) = key_file([0xff; 44]);
    assert!(matches!(Key::from_file(path), Err(KeyError::Invalid { position: 1, .. })));
    let (_folder, path) = key_file("#".repeat(64 * 1024 + 1));
    assert!(matches!(Key::from_file(path), Err(KeyError::Unreadable { .. })));
    let (_folder, path) = key_file("#".repeat(64 * 1024));
    assert!(matches!(Key::from_file(path), Err(KeyError::NoKey { .. })));
}

#[test]
fn debug_output_hides_keys() {
    let key = Key::generate();
    assert_eq!(format!("{key:?}"), "Key(..)");
    assert_eq!(format!("{key:#?}"), "Key(..)");
    let manager = EncryptionManager::with_keys(key, [Key::generate()]);
    assert_eq!(format!("{manager:?}"), "EncryptionManager { keys: 2, .. }");
}

/// Variables can only be set safely for a child process, so this test runs itself as one.
#[test]
fn keys_are_read_from_the_environment() {
    const KEYS: [&str; 2] = [
        "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=",
        "_C4gfsE3bv09Wja9Nmk2n20UzqEovGyv8Db7ftSmIyg=",
    ];
    if std::env::var_os("ATTESTRY_TEST_ONE").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keys_are_read_from_the_environment"])
            .env("ATTESTRY_TEST_ONE", KEYS[0])
            .env("ATTESTRY_TEST_TWO", format!(" {}, {},\n", KEYS[1], KEYS[0]))
            .env("ATTESTRY_TEST_EMPTY", " , ")
            .env("ATTESTRY_TEST_BAD", format!("{},hunter2", KEYS[0]))
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }

    let keys = KEYS.map(|text| text.parse::<Key>().unwrap());
    assert_eq!(Key::from_env("ATTESTRY_TEST_ONE").unwrap(), keys[0]);
    assert_eq!(EncryptionManager::from_env("ATTESTRY_TEST_ONE").unwrap().key(), &keys[0]);

    let manager = EncryptionManager::from_env("ATTESTRY_TEST_TWO").unwrap();
    assert_eq!(manager.key(), &keys[1]);
    for key in keys {
        let encrypted = EncryptionManager::new(key).encrypt("text");
        assert_eq!(manager.decrypt(&encrypted).unwrap(), "text");
    }

    for (name, expected) in [
        ("ATTESTRY_TEST_TWO", "there are 2 keys in ATTESTRY_TEST_TWO where one is expected"),
        ("ATTESTRY_TEST_EMPTY", "there is no key in ATTESTRY_TEST_EMPTY"),
        (
            "ATTESTRY_TEST_BAD",
            "item 2 of ATTESTRY_TEST_BAD is not a key: a key has 44 characters, this has 7",
        ),
        ("ATTESTRY_TEST_NONE", "the environment variable ATTESTRY_TEST_NONE is not set"),
        ("", "the environment variable  is not set"),
        ("A=B", "the environment variable A=B is not set"),
    ] {
        assert_eq!(chain(&Key::from_env(name).unwrap_err()), expected);
    }
}
