//! Decompresses bodies, within a limit: a small body may become a large one.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Deflate,
    Zstd,
}

/// Why a body cannot be decompressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Damaged {
    TooLarge,
    Invalid,
}

impl Compression {
    /// The compression that `name`, the value of a header, means; `None` if it is not supported.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::None,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    /// At most `limit` bytes.
    pub(super) fn decompress(self, body: Bytes, limit: usize) -> Result<Bytes, Damaged> {
        match self {
            Self::None if body.len() > limit => Err(Damaged::TooLarge),
            Self::None => Ok(body),
            Self::Gzip => read(MultiGzDecoder::new(&body[..]), &body, limit),
            Self::Deflate => read(ZlibDecoder::new(&body[..]), &body, limit),
            Self::Zstd => match StreamingDecoder::new(&body[..]) {
                Ok(decoder) => read(decoder, &body, limit),
                Err(_) => Err(Damaged::Invalid),
            },
        }
    }
}

fn read(mut decoder: impl Read, body: &[u8], limit: usize) -> Result<Bytes, Damaged> {
    let mut decompressed = Vec::with_capacity(body.len().saturating_mul(4).min(limit));
    let mut chunk = [0; 16 << 10];
    loop {
        let read = match decoder.read(&mut chunk) {
            Ok(0) => return Ok(decompressed.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Damaged::Invalid),
        };
        if decompressed.len() + read > limit {
            return Err(Damaged::TooLarge);
        }
        decompressed.extend_from_slice(&chunk[..read]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn compressed(bytes: &[u8]) -> Vec<(Compression, Bytes)> {
        let level = flate2::Compression::default();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        gzip.write_all(bytes).unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
        zlib.write_all(bytes).unwrap();
        let zstd =
            ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
        vec![
            (Compression::None, Bytes::copy_from_slice(bytes)),
            (Compression::Gzip, gzip.finish().unwrap().into()),
            (Compression::Deflate, zlib.finish().unwrap().into()),
            (Compression::Zstd, zstd.into()),
        ]
    }

    #[test]
    fn limit_is_that_of_the_decompressed_body() {
        let bytes = vec![b'a'; 100_000];
        for (compression, body) in compressed(&bytes) {
            assert_eq!(compression.decompress(body.clone(), 100_000).as_deref(), Ok(&bytes[..]));
            assert_eq!(compression.decompress(body, 99_999), Err(Damaged::TooLarge));
        }
    }

    #[test]
    fn damaged_body_is_an_error() {
        for (compression, body) in compressed(&vec![b'a'; 100_000]).into_iter().skip(1) {
            let cut = body.slice(..body.len() - 5);
            assert_eq!(
                compression.decompress(cut, 1 << 20),
                Err(Damaged::Invalid),
                "{compression:?}"
            );
            let other = Bytes::from_static(b"{\"resourceSpans\": []}");
            assert_eq!(
                compression.decompress(other, 1 << 20),
                Err(Damaged::Invalid),
                "{compression:?}"
            );
        }
    }
}
