//! The secret key, which signs.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use super::{InvalidKey, LOG, LogKey, MAX_NAME, Public, decode};
use crate::Hash;

/// The secret key of a log. Who has it can sign another history.
///
/// As text it has the form of Go's `sumdb/note`, `PRIVATE+KEY+name+hash+key`. It is wiped from
/// memory when dropped and never printed;
/// [`expose_secret`](Self::expose_secret) is the one way to the text.
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
    /// A new key from the operating system's random numbers. `name` is also the origin of the log:
    /// by custom a URL without its scheme, such as `example.com/audit`.
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
        getrandom::fill(&mut *seed).expect("the operating system gives random bytes");
        Self::from_seed(name, &seed)
    }

    /// The key of these 32 bytes (the private key of RFC 8032). They must come from a
    /// cryptographic random number generator.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Name`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = Public::new(name, LOG, secret.verifying_key())?;
        Ok(Self { secret, public })
    }

    /// The name of the key and origin of the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.public.name
    }

    /// The public key, for whoever verifies.
    #[must_use]
    pub fn public(&self) -> LogKey {
        LogKey(self.public.clone())
    }

    /// The secret text, for the one file it is kept in.
    #[must_use]
    pub fn expose_secret(&self) -> Zeroizing<String> {
        let mut material = Zeroizing::new([LOG; 33]);
        material[1..].copy_from_slice(self.secret.as_bytes());
        // Of its final size from the start, so that it never moves and leaves a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_NAME + 66));
        text.push_str(PRIVATE);
        text.push_str(&self.public.name);
        text.push_str(&format!("+{:08x}+", self.public.id));
        STANDARD.encode_string(material.as_slice(), &mut text);
        text
    }

    /// Signs what the log is at this moment: the checkpoint of a tree, as a signed note.
    ///
    /// Never sign two checkpoints of which one did not grow out of the other: that is what
    /// rewriting a log looks like.
    ///
    /// A tree that is empty has no other root than [`Hash::EMPTY_TREE`]; a checkpoint that says
    /// so is refused by whoever opens it.
    #[must_use]
    pub fn sign(&self, size: u64, root: Hash) -> String {
        let text = format!("{}\n{size}\n{root}\n", self.public.name);
        let signature = self.secret.sign(text.as_bytes());
        let material = [self.public.id.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        format!("{text}\n— {} {}\n", self.public.name, STANDARD.encode(material))
    }
}

const PRIVATE: &str = "PRIVATE+KEY+";

impl FromStr for SigningKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let expected = "PRIVATE+KEY+name+1a2b3c4d+base64";
        let malformed = InvalidKey::Malformed { expected };
        let mut parts = text.strip_prefix(PRIVATE).ok_or(malformed.clone())?.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed);
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
