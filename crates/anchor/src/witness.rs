//! Witnesses (C2SP tlog-witness): they cosign a checkpoint after they have checked that the log only grew.

mod protocol;

use std::fmt;
use std::str::FromStr;

use attestry_evidence::{InvalidKey, OpenError, WitnessKey};
use attestry_file::EvidenceError;
use hyper::Uri;
use thiserror::Error;

use crate::http::{HttpError, parse_url};

pub(crate) use protocol::{Answer, answer};

/// A witness: the URL of its service (the *submission prefix*) and its public key.
///
/// As text it is `URL+KEY`.
///
/// ```
/// use attestry_anchor::Witness;
///
/// let text = "https://witness.example/w1+remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
/// let witness: Witness = text.parse()?;
/// assert_eq!(witness.key().name(), "remora.n621.de");
/// assert_eq!(witness.to_string(), text);
/// # Ok::<(), attestry_anchor::InvalidWitness>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    prefix: String,
    /// `prefix/add-checkpoint`.
    url: Uri,
    key: WitnessKey,
}

/// Why a text is not a witness.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidWitness {
    /// The text does not end with the public key of a witness.
    #[error("this is not URL+NAME+HASH+KEY, the URL of a witness and its public key")]
    Key(#[source] InvalidKey),
    /// The URL is not one.
    #[error(transparent)]
    Url(HttpError),
}

/// Why a witness did not cosign.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The witness cannot be reached, or refuses the request: 400, 403 (the key of the log is not the one it
    /// knows), 404 (it does not know the log), 429 and 5xx (it has a problem).
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The witness has cosigned more leaves of this log than the store has. The store was rolled back, or
    /// its key signs elsewhere.
    #[error("the witness has cosigned {held} leaves of this log, the store has signed only {size}")]
    Ahead {
        /// The leaves that the witness has cosigned.
        held: u64,
        /// The leaves of the store's checkpoint.
        size: u64,
    },
    /// The witness has cosigned another tree of this log (422, or 409 at the same size).
    #[error("the witness has cosigned another tree of this log: {text}")]
    OtherTree {
        /// What the witness says.
        text: String,
    },
    /// The witness names fewer leaves than it has cosigned before: it has lost its memory, on which its
    /// cosignatures rest.
    #[error("the witness cosigned {cosigned} leaves before, and now knows only {held}")]
    Forgot {
        /// The leaves that it has cosigned.
        cosigned: u64,
        /// The leaves that it names.
        held: u64,
    },
    /// The reply does not follow the protocol.
    #[error("the reply does not follow the protocol: {reason}")]
    InvalidReply {
        /// What is wrong.
        reason: &'static str,
    },
    /// A cosignature is invalid.
    #[error("the cosignature is invalid")]
    Signature(#[from] OpenError),
    /// No proof could be made.
    #[error("cannot prove the growth of the log")]
    Store(#[from] EvidenceError),
}

impl WitnessError {
    /// Whether the witness has seen a larger or another tree of this log.
    #[must_use]
    pub fn is_contradiction(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::OtherTree { .. })
            || matches!(self, Self::Store(EvidenceError::Disagrees { .. }))
    }
}

impl Witness {
    /// The witness with the service at `url` and this key.
    ///
    /// # Errors
    ///
    /// [`InvalidWitness::Url`].
    pub fn new(url: &str, key: WitnessKey) -> Result<Self, InvalidWitness> {
        let prefix = url.trim_end_matches('/').to_owned();
        let url = parse_url(&format!("{prefix}/add-checkpoint")).map_err(InvalidWitness::Url)?;
        Ok(Self { prefix, url, key })
    }

    /// The URL of the service.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn add_checkpoint(&self) -> &Uri {
        &self.url
    }

    /// The public key.
    #[must_use]
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.prefix, self.key)
    }
}

impl FromStr for Witness {
    type Err = InvalidWitness;

    fn from_str(text: &str) -> Result<Self, InvalidWitness> {
        // URL and key may contain `+`. The key's checksum finds the one between them.
        let splits = text.match_indices('+').map(|(at, _)| text.split_at(at));
        let mut parsed = splits.map(|(url, key)| (url, key[1..].parse::<WitnessKey>()));
        let malformed = InvalidKey::Malformed { expected: "URL+name+1a2b3c4d+base64" };
        let found = parsed.find_map(|(url, key)| key.ok().map(|key| (url, key)));
        let (url, key) = found.ok_or(InvalidWitness::Key(malformed))?;
        Self::new(url, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";

    #[test]
    fn url_and_key_are_separated() {
        for url in ["http://127.0.0.1:8080", "https://w.example/a+b/c", "http://[::1]:1/x"] {
            let witness: Witness = format!("{url}/+{KEY}").parse().unwrap();
            assert_eq!((witness.url(), witness.key().to_string()), (url, KEY.to_owned()));
            assert_eq!(witness.url.to_string(), format!("{url}/add-checkpoint"));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "+", KEY, "https://w.example", "https://w.example+name+00000000+AAAA"] {
            assert!(text.parse::<Witness>().is_err(), "{text}");
        }
        for url in ["", "ftp://w.example", "w.example", "https://", "https://user@w.example/"] {
            let text = format!("{url}+{KEY}");
            assert!(matches!(text.parse::<Witness>(), Err(InvalidWitness::Url(_))), "{text}");
        }
    }
}
