//! Public keys of the log and of witnesses.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use zeroize::Zeroizing;

/// The maximum length of a key's name, in bytes.
pub const MAX_NAME: usize = 255;

/// Signature types of C2SP signed-note.
pub(crate) const LOG: u8 = 1;
const WITNESS: u8 = 4;

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// A public key is `name+hash+key`, a secret one `PRIVATE+KEY+name+hash+key`.
    #[error("this is not a key of the form {expected}")]
    Malformed {
        /// The expected form.
        expected: &'static str,
    },
    /// The name is empty, too long, or contains white space, `+` or a control character.
    #[error(
        "the name of a key is 1 to {MAX_NAME} bytes without white space, + or control characters"
    )]
    Name,
    /// The key is of another type: a witness's key instead of the log's, for example.
    #[error("the key is of type {found}, where one of type {expected} is expected")]
    OtherType {
        /// The type expected: 1 for a log, 4 for a witness.
        expected: u8,
        /// The type found.
        found: u8,
    },
    /// The key is not 32 bytes in base64.
    #[error("the key is not base64 of the right length")]
    NotBase64,
    /// The key id does not match name and key: one of the three was mistyped.
    #[error("the key id does not match the name and the key: a part was mistyped")]
    WrongHash,
    /// The key is not a point of the curve, or a point of small order, for which signatures can be made
    /// without a secret key.
    #[error("invalid public key (weak point)")]
    Weak,
}

/// Why signing keys could not be read or a key could not be written.
pub type KeyError = attestry_keyfile::KeyError<InvalidKey>;

/// A public key with its name and the type of its signatures.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Public {
    pub(crate) name: String,
    kind: u8,
    pub(crate) id: u32,
    key: VerifyingKey,
}

impl Public {
    pub(crate) fn new(name: &str, kind: u8, key: VerifyingKey) -> Result<Self, InvalidKey> {
        let forbidden = |c: char| c == '+' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > MAX_NAME || name.contains(forbidden) {
            return Err(InvalidKey::Name);
        }
        let material = [&[kind], key.as_bytes().as_slice()].concat();
        Ok(Self { name: name.to_owned(), kind, id: signed_note::key_id(name, &material), key })
    }

    fn parse(text: &str, kind: u8) -> Result<Self, InvalidKey> {
        let malformed = InvalidKey::Malformed { expected: "name+1a2b3c4d+base64" };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed);
        };
        let bytes = decode(key, kind)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| InvalidKey::Weak)?;
        if key.is_weak() {
            return Err(InvalidKey::Weak);
        }
        let public = Self::new(name, kind, key)?;
        if hash == format!("{:08x}", public.id) { Ok(public) } else { Err(InvalidKey::WrongHash) }
    }

    /// Strict verification: each signature is valid for one message only, which prevents repudiation by
    /// showing a second message.
    fn verify_ed25519(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl signed_note::Verifier for Public {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        if self.kind == LOG {
            return self.verify_ed25519(message, signature);
        }
        let Some((time, signature)) = signature.split_first_chunk() else { return false };
        let time = u64::from_be_bytes(*time);
        let mut signed = format!("cosignature/v1\ntime {time}\n").into_bytes();
        signed.extend_from_slice(message);
        i64::try_from(time).is_ok() && self.verify_ed25519(&signed, signature)
    }
}

impl fmt::Display for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = [&[self.kind], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(material))
    }
}

/// Decodes the 32 bytes of a key of the type `expected`.
pub(crate) fn decode(text: &str, expected: u8) -> Result<Zeroizing<[u8; 32]>, InvalidKey> {
    // The type is in the first four characters. Keys of other algorithms have other lengths.
    let start = text.get(..4).and_then(|start| STANDARD.decode(start).ok());
    let found = *start.as_deref().and_then(<[u8]>::first).ok_or(InvalidKey::NotBase64)?;
    if found != expected {
        return Err(InvalidKey::OtherType { expected, found });
    }
    let mut bytes = Zeroizing::new([0; 33]);
    if text.len() != 44 || STANDARD.decode_slice(text, &mut *bytes) != Ok(33) {
        return Err(InvalidKey::NotBase64);
    }
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&bytes[1..]);
    Ok(key)
}

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident, $kind:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(pub(crate) Public);

        impl $name {
            /// The key's name, which precedes each signature.
            #[must_use]
            pub fn name(&self) -> &str {
                &self.0.name
            }

            /// The key id, which identifies signatures together with the name.
            #[must_use]
            pub fn id(&self) -> u32 {
                self.0.id
            }

            pub(crate) fn bytes(&self) -> &[u8; 32] {
                self.0.key.as_bytes()
            }
        }

        impl FromStr for $name {
            type Err = InvalidKey;

            fn from_str(text: &str) -> Result<Self, InvalidKey> {
                Public::parse(text, $kind).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

public_key! {
    /// The public key of a log (Ed25519, type 1). As text it is a verifier key of C2SP signed-note:
    /// `name+hash+key`.
    ///
    /// ```
    /// use attestry_evidence::LogKey;
    ///
    /// let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    /// let key: LogKey = text.parse()?;
    /// assert_eq!(key.name(), "PeterNeumann");
    /// assert_eq!(key.to_string(), text);
    /// # Ok::<(), attestry_evidence::InvalidKey>(())
    /// ```
    LogKey, LOG
}

impl LogKey {
    /// The public key of the [renamed](crate::SigningKey::renamed) signing key.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Name`].
    pub fn renamed(&self, name: &str) -> Result<Self, InvalidKey> {
        Public::new(name, self.0.kind, self.0.key).map(Self)
    }
}

impl Serialize for LogKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

public_key! {
    /// The public key of a witness (Ed25519, type 4), which cosigns checkpoints of the logs it
    /// watches. As text `name+hash+key`, as witnesses publish it.
    WitnessKey, WITNESS
}
