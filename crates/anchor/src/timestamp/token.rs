//! The reply of an authority: a signed message (CMS, RFC 5652) that contains the time (RFC 3161).

use std::time::Duration;

use attestry_core::Timestamp;
use der::Tag;
use der::asn1::ObjectIdentifier;
use ring::digest::{self, Algorithm};
use rustls::pki_types::CertificateDer;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert};

use super::ber::{Values, context, malformed, number};
use super::{TimestampError, VerifiedTimestamp};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// More certificates than any chain has.
const MAX_CERTIFICATES: usize = 32;

/// A parsed reply. Nothing of it is verified before the `check` methods are called.
pub(crate) struct Token<'a> {
    info: Info<'a>,
    /// The signed content.
    content: &'a [u8],
    certificates: Vec<&'a [u8]>,
    signer: Signer<'a>,
}

/// `TSTInfo`.
struct Info<'a> {
    policy: ObjectIdentifier,
    imprint_hash: ObjectIdentifier,
    imprint: &'a [u8],
    serial: &'a [u8],
    time: Timestamp,
    accuracy: Option<Duration>,
    nonce: Option<&'a [u8]>,
}

/// `SignerInfo`.
struct Signer<'a> {
    /// Hash of the content.
    content_hash: ObjectIdentifier,
    /// The signed attributes with tag and length.
    attributes: &'a [u8],
    /// The content's hash among them.
    message_digest: &'a [u8],
    /// The hash of the certificate among them.
    certificate_hash: (&'static Algorithm, &'a [u8]),
    signature: &'a [u8],
}

impl<'a> Token<'a> {
    /// Reads a `TimeStampResp`.
    pub(crate) fn parse(reply: &'a [u8]) -> Result<Self, TimestampError> {
        let mut outer = Values::new(reply, "it is not DER")?;
        let mut response = outer.sequence()?;
        if !outer.is_empty() {
            return Err(malformed("something follows it"));
        }
        check_status(response.sequence()?)?;
        let mut content = response.sequence()?;
        if content.oid()? != SIGNED_DATA {
            return Err(malformed("it is not a signed message"));
        }
        let mut signed = Values::new(content.next(context(0, true))?, "the signed message")?;
        Self::parse_signed(signed.sequence()?)
    }

    /// Reads a `SignedData`.
    fn parse_signed(mut signed: Values<'a>) -> Result<Self, TimestampError> {
        signed.number()?;
        signed.set()?;
        let mut encapsulated = signed.sequence()?;
        if encapsulated.oid()? != TST_INFO {
            return Err(malformed("it contains no timestamp"));
        }
        let explicit = encapsulated.next(context(0, true))?;
        let content = Values::new(explicit, "the timestamp")?.next(Tag::OctetString)?;
        let mut certificates = Vec::new();
        if let Some(set) = signed.optional(context(0, true))? {
            let mut set = Values::new(set, "the certificates")?;
            while !set.is_empty() && certificates.len() < MAX_CERTIFICATES {
                certificates.push(set.raw()?);
            }
        }
        signed.optional(context(1, true))?;
        let mut signers = signed.set()?;
        let signer = Signer::parse(signers.sequence()?)?;
        if !signers.is_empty() {
            return Err(malformed("it has several signers"));
        }
        Ok(Self { info: Info::parse(content)?, content, certificates, signer })
    }

    /// Fails unless this is a timestamp of `stamped`.
    pub(crate) fn check_imprint(&self, stamped: &[u8]) -> Result<(), TimestampError> {
        let hash = digest::digest(hash_of(self.info.imprint_hash)?, stamped);
        if hash.as_ref() == self.info.imprint { Ok(()) } else { Err(TimestampError::OtherImprint) }
    }

    /// Fails unless this is the reply to a request with `nonce`.
    pub(crate) fn check_nonce(&self, nonce: u64) -> Result<(), TimestampError> {
        if self.info.nonce.and_then(number) == Some(nonce) {
            Ok(())
        } else {
            Err(TimestampError::OtherNonce)
        }
    }

    /// Fails unless the content is signed. Returns the certificate, which is not checked itself.
    pub(crate) fn check_signature(&self) -> Result<Vec<u8>, TimestampError> {
        let Signer { content_hash, attributes, message_digest, certificate_hash, signature } =
            &self.signer;
        let hash = digest::digest(hash_of(*content_hash)?, self.content);
        if hash.as_ref() != *message_digest {
            return Err(TimestampError::Signature);
        }
        let (algorithm, expected) = certificate_hash;
        let is_signer = |der: &&&[u8]| digest::digest(algorithm, der).as_ref() == *expected;
        let certificate = self.certificates.iter().find(is_signer);
        let certificate = *certificate.ok_or(TimestampError::NoCertificate)?;
        // What is signed has the tag of a set instead of that of the field (RFC 5652 section 5.4).
        let mut signed = attributes.to_vec();
        if let Some(tag) = signed.first_mut() {
            *tag = 0x31;
        }
        let der = CertificateDer::from(certificate);
        let key = EndEntityCert::try_from(&der)
            .map_err(|error| TimestampError::Certificate { reason: error.to_string() })?;
        let mut algorithms = ALL_VERIFICATION_ALGS.iter();
        if algorithms.any(|algorithm| key.verify_signature(*algorithm, &signed, signature).is_ok())
        {
            Ok(certificate.to_vec())
        } else {
            Err(TimestampError::Signature)
        }
    }

    pub(crate) fn certificates(&self) -> Vec<&'a [u8]> {
        self.certificates.clone()
    }

    pub(crate) fn time(&self) -> Timestamp {
        self.info.time
    }

    pub(crate) fn verified(&self) -> VerifiedTimestamp {
        VerifiedTimestamp {
            time: self.info.time,
            accuracy: self.info.accuracy,
            policy: self.info.policy.to_string(),
            serial: self.info.serial.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// Fails unless `PKIStatusInfo` says that a timestamp was granted.
fn check_status(mut status: Values<'_>) -> Result<(), TimestampError> {
    let code = status.number()?;
    if code <= 1 {
        return Ok(());
    }
    let mut text = String::new();
    if let Some(lines) = status.optional(Tag::Sequence)? {
        let mut lines = Values::new(lines, "the status")?;
        while let (false, true) = (lines.is_empty(), text.len() < 200) {
            text.push_str(&String::from_utf8_lossy(lines.next(Tag::Utf8String)?));
        }
    }
    let text = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Err(TimestampError::Refused { status: code, text })
}

fn hash_of(oid: ObjectIdentifier) -> Result<&'static Algorithm, TimestampError> {
    match oid {
        SHA_256 => Ok(&digest::SHA256),
        SHA_384 => Ok(&digest::SHA384),
        SHA_512 => Ok(&digest::SHA512),
        other => Err(TimestampError::Hash { oid: other.to_string() }),
    }
}

impl<'a> Info<'a> {
    fn parse(content: &'a [u8]) -> Result<Self, TimestampError> {
        let mut outer = Values::new(content, "the timestamp")?;
        let mut info = outer.sequence()?;
        if info.number()? != 1 {
            return Err(malformed("the timestamp has another version"));
        }
        let policy = info.oid()?;
        let mut imprint = info.sequence()?;
        let imprint_hash = imprint.sequence()?.oid()?;
        let imprint = imprint.next(Tag::OctetString)?;
        let serial = info.next(Tag::Integer)?;
        let time = parse_time(info.next(Tag::GeneralizedTime)?)
            .ok_or_else(|| malformed("the time of the timestamp"))?;
        let accuracy = info.optional(Tag::Sequence)?.map(parse_accuracy).transpose()?;
        info.optional(Tag::Boolean)?;
        let nonce = info.optional(Tag::Integer)?;
        Ok(Self { policy, imprint_hash, imprint, serial, time, accuracy, nonce })
    }
}

/// Reads `YYYYMMDDhhmmss[.fraction]Z`.
fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let text = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let (date, time) = whole.split_at(8);
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let iso = format!(
        "{}-{}-{}T{}:{}:{}.{fraction}",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    iso.parse().ok()
}

/// Reads `Accuracy`: seconds, milliseconds and microseconds, all optional.
fn parse_accuracy(content: &[u8]) -> Result<Duration, TimestampError> {
    let bad = || malformed("the accuracy of the timestamp");
    let mut parts = Values::new(content, "the accuracy of the timestamp")?;
    let seconds = parts.optional(Tag::Integer)?.map_or(Some(0), number).ok_or_else(bad)?;
    let millis = parts.optional(context(0, false))?.map_or(Some(0), number).ok_or_else(bad)?;
    let micros = parts.optional(context(1, false))?.map_or(Some(0), number).ok_or_else(bad)?;
    if millis > 999 || micros > 999 {
        return Err(bad());
    }
    Ok(Duration::from_secs(seconds) + Duration::from_micros(millis * 1_000 + micros))
}

impl<'a> Signer<'a> {
    fn parse(mut signer: Values<'a>) -> Result<Self, TimestampError> {
        signer.number()?;
        // Issuer and serial number, or the key's identifier. The attributes identify the certificate by its hash.
        signer.any()?;
        let content_hash = signer.sequence()?.oid()?;
        let attributes = signer.raw()?;
        signer.sequence()?;
        let signature = signer.next(Tag::OctetString)?;
        let mut tagged = Values::new(attributes, "the signed attributes")?;
        let mut list = Values::new(tagged.next(context(0, true))?, "the signed attributes")?;
        let (mut content_type, mut message_digest, mut certificate_hash) = (None, None, None);
        while !list.is_empty() {
            let mut attribute = list.sequence()?;
            let kind = attribute.oid()?;
            let mut values = attribute.set()?;
            match kind {
                CONTENT_TYPE => set_once(&mut content_type, values.oid()?)?,
                MESSAGE_DIGEST => set_once(&mut message_digest, values.next(Tag::OctetString)?)?,
                SIGNING_CERTIFICATE_V2 => certificate_hash = Some(parse_certificate_v2(values)?),
                SIGNING_CERTIFICATE if certificate_hash.is_none() => {
                    certificate_hash = Some(parse_certificate_v1(values)?);
                }
                _ => {}
            }
        }
        if content_type != Some(TST_INFO) {
            return Err(malformed("another type of content is signed"));
        }
        let missing = || malformed("a signed attribute is missing");
        Ok(Self {
            content_hash,
            attributes,
            message_digest: message_digest.ok_or_else(missing)?,
            certificate_hash: certificate_hash.ok_or_else(missing)?,
            signature,
        })
    }
}

fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), TimestampError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed("a signed attribute occurs twice")),
    }
}

/// The first `ESSCertID` of a `SigningCertificate` (RFC 2634): SHA-1.
fn parse_certificate_v1<'a>(
    mut values: Values<'a>,
) -> Result<(&'static Algorithm, &'a [u8]), TimestampError> {
    let mut certificate = values.sequence()?.sequence()?.sequence()?;
    // It only picks one of the certificates in the reply, whose signature and chain are then checked.
    Ok((&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate.next(Tag::OctetString)?))
}

/// The first `ESSCertIDv2` of a `SigningCertificateV2` (RFC 5035): SHA-256 unless it says otherwise.
fn parse_certificate_v2<'a>(
    mut values: Values<'a>,
) -> Result<(&'static Algorithm, &'a [u8]), TimestampError> {
    let mut certificate = values.sequence()?.sequence()?.sequence()?;
    let hash = match certificate.optional(Tag::Sequence)? {
        Some(algorithm) => Values::new(algorithm, "the signing certificate")?.oid()?,
        None => SHA_256,
    };
    Ok((hash_of(hash)?, certificate.next(Tag::OctetString)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_optional_fractions() {
        let parsed = |text: &str| parse_time(text.as_bytes()).map(|time| time.to_string());
        assert_eq!(parsed("20261127174643Z").as_deref(), Some("2026-11-27T17:46:43"));
        assert_eq!(parsed("20261127174643.5Z").as_deref(), Some("2026-11-27T17:46:43.500000"));
        assert_eq!(
            parsed("20261127174643.1234567Z").as_deref(),
            Some("2026-11-27T17:46:43.123456")
        );
        for text in [
            "",
            "Z",
            "20261127174643",
            "202611271746Z",
            "20261327174643Z",
            "2026112717464٣Z",
            "+0261127174643Z",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
