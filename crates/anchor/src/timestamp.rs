//! Timestamps by an authority (RFC 3161): proof that a checkpoint existed at a time.

mod ber;
mod request;
mod roots;
mod token;

use std::time::Duration;

use attestry_core::Timestamp;
use thiserror::Error;

pub use roots::{InvalidRoots, TimestampRoots};

pub(crate) use request::{IMPRINT_BYTES, full_length, request};
pub(crate) use token::Token;

/// A verified timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifiedTimestamp {
    /// The time that the authority states: the stamped bytes existed then.
    pub time: Timestamp,
    /// How far the time may be off, if the authority says so.
    pub accuracy: Option<Duration>,
    /// The policy under which it was issued: an object identifier, such as `1.2.3.4`.
    pub policy: String,
    /// The serial number, in hexadecimal. It is unique at this authority.
    pub serial: String,
}

/// Why a timestamp is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// The authority refused the request.
    #[error("the authority refused the request with status {status}: {text}")]
    Refused {
        /// The status of RFC 3161 section 2.4.2: 2 is a rejection.
        status: u64,
        /// What the authority says.
        text: String,
    },
    /// The reply is not one of RFC 3161.
    #[error("this is not a reply of a timestamp authority: {reason}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// It uses a hash that is not supported, or too weak.
    #[error("the timestamp uses the hash {oid}; SHA-256, SHA-384 and SHA-512 are accepted")]
    Hash {
        /// The object identifier of the hash.
        oid: String,
    },
    /// It is a timestamp of something else.
    #[error("the timestamp is of something else")]
    OtherImprint,
    /// It is a reply to another request.
    #[error("the reply is to another request: the nonce differs")]
    OtherNonce,
    /// The certificate of the authority is not in the reply.
    #[error("the certificate that the reply was signed with is not in it")]
    NoCertificate,
    /// The signature does not match.
    #[error("the signature of the authority is invalid, or of an unsupported kind")]
    Signature,
    /// The certificate does not lead to a trusted one, was not valid at the time of the timestamp, or is not
    /// for timestamps.
    #[error("the certificate of the authority is not trusted: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: String,
    },
}

/// Verifies a stored reply offline: `reply` is a timestamp of `stamped` by an authority whose certificate leads to
/// one of `roots`, was valid at that time, and is for timestamps.
///
/// Revocation is not checked. `openssl ts -verify -data CHECKPOINT -in REPLY -CAfile ROOTS` verifies the same.
///
/// # Errors
///
/// [`TimestampError`].
pub fn verify_timestamp(
    reply: &[u8],
    stamped: &[u8],
    roots: &TimestampRoots,
) -> Result<VerifiedTimestamp, TimestampError> {
    let token = Token::parse(reply)?;
    token.check_imprint(stamped)?;
    let certificate = token.check_signature()?;
    roots.check(&certificate, &token.certificates(), token.time())?;
    Ok(token.verified())
}
