//! The secret key of a log.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use crate::key::{InvalidKey, KeyError, LOG, LogKey, MAX_NAME, Public, decode};
use crate::{Hash, SignedCheckpoint};

/// The secret key of a log. With it, another history can be signed.
///
/// As text it has the form of Go's `sumdb/note`, `PRIVATE+KEY+name+hash+key`. It is wiped from
/// memory on drop and never printed. Only [`expose_secret`](Self::expose_secret) returns the text.
///
/// ```
/// use attestry_evidence::{Policy, SigningKey, Tree};
///
/// let key = SigningKey::generate("example.com/audit")?;
/// let tree = Tree::new();
/// let signed = key.sign(tree.size(), tree.root());
/// let opened = Policy::new(key.public()).open(&signed)?;
/// assert_eq!(opened.checkpoint().origin(), "example.com/audit");
/// assert!(format!("{key:?}").starts_with("SigningKey(example.com/audit+"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    secret: ed25519_dalek::SigningKey,
    public: Public,
}

impl SigningKey {
    /// Generates a key with the operating system's random number generator. `name` is also the origin of
    /// the log: by convention a URL without its scheme, such as `example.com/audit`.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Name`].
    ///
    /// # Panics
    ///
    /// When the operating system's random number generator fails.
    pub fn generate(name: &str) -> Result<Self, InvalidKey> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).expect("the operating system provides random bytes");
        Self::from_seed(name, &seed)
    }

    /// Creates a key from 32 bytes of a cryptographic random number generator (the private key of RFC
    /// 8032).
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Name`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = Public::new(name, LOG, secret.verifying_key())?;
        Ok(Self { secret, public })
    }

    /// Reads a file that contains one signing key on a line. Blank lines and lines that start with `#`
    /// are ignored.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the file and the line: the file cannot be read, contains no key or several,
    /// or a line that is not a signing key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        attestry_keyfile::read_file(path.as_ref(), Self::from_bytes)?.single()
    }

    /// Reads a signing key from the environment variable `name`.
    ///
    /// # Errors
    ///
    /// [`KeyError`], naming the variable: it is not set, is empty, or its value is not one signing key.
    pub fn from_env(name: &str) -> Result<Self, KeyError> {
        // Names of keys may contain commas.
        attestry_keyfile::read_env(name, b'\n', Self::from_bytes)?.single()
    }

    /// Writes the key as one line to a new file that only its owner can read (mode 0600, on systems
    /// that have modes). On return the file is on stable storage.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("signing.key");
    /// use attestry_evidence::SigningKey;
    ///
    /// let key = SigningKey::generate("example.com/audit")?;
    /// key.write_new_file(&path)?;
    /// assert_eq!(SigningKey::from_file(&path)?.public(), key.public());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::AlreadyExists`] if `path` exists, which is left unchanged;
    /// [`KeyError::Unwritable`] if the file cannot be written, in which case none is left behind.
    pub fn write_new_file(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        attestry_keyfile::write_new(path.as_ref(), &self.expose_secret())
    }

    fn from_bytes(text: &[u8]) -> Result<Self, InvalidKey> {
        str::from_utf8(text).map_err(|_| MALFORMED)?.parse()
    }

    /// The name of the key and origin of the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.public.name
    }

    /// The same key for another log: with this name as the origin of that log. Signatures cover the origin, so those
    /// of the one log are none of the other.
    ///
    /// ```
    /// use attestry_evidence::SigningKey;
    ///
    /// let key = SigningKey::generate("example.com/audit")?;
    /// let other = key.renamed("example.com/audit/access")?;
    /// assert_eq!(other.public(), key.public().renamed("example.com/audit/access")?);
    /// assert_ne!(other.public(), key.public());
    /// # Ok::<(), attestry_evidence::InvalidKey>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Name`].
    pub fn renamed(&self, name: &str) -> Result<Self, InvalidKey> {
        Self::from_seed(name, self.secret.as_bytes())
    }

    /// The public key, which verifies.
    #[must_use]
    pub fn public(&self) -> LogKey {
        LogKey(self.public.clone())
    }

    /// The secret text, for the file or secret store that holds it.
    #[must_use]
    pub fn expose_secret(&self) -> Zeroizing<String> {
        let mut material = Zeroizing::new([LOG; 33]);
        material[1..].copy_from_slice(self.secret.as_bytes());
        // Allocated once: a buffer that grows leaves copies of the key in freed memory.
        let mut text = Zeroizing::new(String::with_capacity(MAX_NAME + 66));
        text.push_str(PRIVATE);
        text.push_str(&self.public.name);
        text.push_str(&format!("+{:08x}+", self.public.id));
        STANDARD.encode_string(material.as_slice(), &mut text);
        text
    }

    /// Signs the checkpoint of a tree with this size and root.
    ///
    /// Never sign two checkpoints that are not consistent: verification takes that for a rewritten log.
    ///
    /// The root of an empty tree is [`Hash::EMPTY_TREE`]; a checkpoint of size 0 with another root is
    /// rejected by [`Policy::open`](crate::Policy::open).
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash) -> SignedCheckpoint {
        let text = format!("{}\n{size}\n{root}\n", self.public.name);
        let signature = self.signature_line(&text);
        SignedCheckpoint::new_unchecked(format!("{text}\n{signature}"))
    }

    /// The signature line of a note with this text.
    pub(crate) fn signature_line(&self, text: &str) -> String {
        let signature = self.secret.sign(text.as_bytes());
        let material = [self.public.id.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        format!("— {} {}\n", self.public.name, STANDARD.encode(material))
    }
}

const PRIVATE: &str = "PRIVATE+KEY+";
const MALFORMED: InvalidKey =
    InvalidKey::Malformed { expected: "PRIVATE+KEY+name+1a2b3c4d+base64" };

impl FromStr for SigningKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mut parts = text.strip_prefix(PRIVATE).ok_or(MALFORMED)?.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(MALFORMED);
        };
        let seed = decode(key, LOG)?;
        let key = Self::from_seed(name, &seed)?;
        if hash == format!("{:08x}", key.public.id) { Ok(key) } else { Err(InvalidKey::WrongHash) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}+{:08x}, ..)", self.public.name, self.public.id)
    }
}
