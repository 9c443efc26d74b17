//! The certificates that timestamps are trusted by.

use std::fmt;
use std::time::Duration;

use attestry_core::Timestamp;
use der::Tag;
use der::asn1::ObjectIdentifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use thiserror::Error;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::TimestampError;
use super::ber::{Values, context};

const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");

/// `id-kp-timeStamping`, 1.3.6.1.5.5.7.3.8.
const TIMESTAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// The root certificates of timestamp authorities that are trusted.
#[derive(Clone)]
pub struct TimestampRoots(Vec<TrustAnchor<'static>>);

/// Why a text has no root certificates.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidRoots {
    /// There is no certificate.
    #[error("there is no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    Empty,
    /// A certificate is malformed.
    #[error("certificate {number} is malformed: {reason}")]
    Malformed {
        /// Its number, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl TimestampRoots {
    /// The certificates in a PEM file.
    ///
    /// # Errors
    ///
    /// [`InvalidRoots`].
    pub fn from_pem(text: &[u8]) -> Result<Self, InvalidRoots> {
        let mut roots = Vec::new();
        for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(text)) {
            let malformed = |reason| InvalidRoots::Malformed { number, reason };
            let certificate = certificate.map_err(|error| malformed(error.to_string()))?;
            let anchor = anchor_from_trusted_cert(&certificate);
            roots.push(anchor.map_err(|error| malformed(error.to_string()))?.to_owned());
        }
        if roots.is_empty() { Err(InvalidRoots::Empty) } else { Ok(Self(roots)) }
    }

    /// Fails unless `certificate` leads to one of these at `time`, and is for timestamps.
    pub(crate) fn check(
        &self,
        certificate: &[u8],
        intermediates: &[&[u8]],
        time: Timestamp,
    ) -> Result<(), TimestampError> {
        check_purpose(certificate)?;
        let refused =
            |error: webpki::Error| TimestampError::Certificate { reason: error.to_string() };
        let certificate = CertificateDer::from(certificate);
        let end = EndEntityCert::try_from(&certificate).map_err(refused)?;
        let intermediates: Vec<CertificateDer<'_>> =
            intermediates.iter().map(|der| CertificateDer::from(*der)).collect();
        let micros = u64::try_from(time.unix_micros()).unwrap_or(0);
        let at = UnixTime::since_unix_epoch(Duration::from_micros(micros));
        // Certificates of the chain need not say what they are for, but that of the authority must.
        let usage = KeyUsage::required_if_present(TIMESTAMPING);
        end.verify_for_usage(ALL_VERIFICATION_ALGS, &self.0, &intermediates, at, usage, None, None)
            .map(drop)
            .map_err(refused)
    }
}

/// Fails unless the certificate is for timestamps and nothing else (RFC 3161 section 2.3).
fn check_purpose(certificate: &[u8]) -> Result<(), TimestampError> {
    const WHAT: &str = "the certificate of the authority";
    let mut certificate = Values::new(certificate, WHAT)?.sequence()?.sequence()?;
    let mut extensions = loop {
        if certificate.is_empty() {
            return Err(refused_purpose());
        }
        if let Some(explicit) = certificate.optional(context(3, true))? {
            break Values::new(explicit, WHAT)?.sequence()?;
        }
        certificate.any()?;
    };
    while !extensions.is_empty() {
        let mut extension = extensions.sequence()?;
        if extension.oid()? != EXTENDED_KEY_USAGE {
            continue;
        }
        let critical = extension.optional(Tag::Boolean)?;
        let purposes = extension.next(Tag::OctetString)?;
        let mut purposes = Values::new(purposes, WHAT)?.sequence()?;
        let first = purposes.next(Tag::ObjectIdentifier)?;
        if critical == Some(&[0xff]) && first == TIMESTAMPING && purposes.is_empty() {
            return Ok(());
        }
        break;
    }
    Err(refused_purpose())
}

fn refused_purpose() -> TimestampError {
    let reason = "its extended key usage must be critical, and timestamping only".to_owned();
    TimestampError::Certificate { reason }
}

impl fmt::Debug for TimestampRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimestampRoots({} certificates)", self.0.len())
    }
}
