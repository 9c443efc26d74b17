//! The request for a timestamp.

/// The length of a SHA-256 hash.
pub(crate) const IMPRINT_BYTES: usize = 32;

/// A `TimeStampReq` for the SHA-256 hash `imprint`, which asks for the certificate. It has one length, so that
/// it is a template with two gaps.
pub(crate) fn request(imprint: &[u8; IMPRINT_BYTES], nonce: u64) -> Vec<u8> {
    const VERSION_AND_HASH: [u8; 24] = [
        0x30, 0x43, // SEQUENCE
        0x02, 0x01, 0x01, // version 1
        0x30, 0x31, // SEQUENCE: the message imprint
        0x30, 0x0d, // SEQUENCE: the algorithm
        0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, // SHA-256
        0x05, 0x00, // NULL
        0x04, 0x20, // OCTET STRING
    ];
    const CERTIFICATE_WANTED: [u8; 3] = [0x01, 0x01, 0xff];
    let mut request = VERSION_AND_HASH.to_vec();
    request.extend_from_slice(imprint);
    request.extend_from_slice(&[0x02, 0x08]);
    request.extend_from_slice(&full_length(nonce).to_be_bytes());
    request.extend_from_slice(&CERTIFICATE_WANTED);
    request
}

/// `nonce` as a number whose DER has exactly eight bytes.
pub(crate) fn full_length(nonce: u64) -> u64 {
    nonce & (u64::MAX >> 1) | 1 << 62
}
