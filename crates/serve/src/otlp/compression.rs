//! Decompresses bodies, within a limit: a small body may become a large one.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;

use crate::http::problem::Problem;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Deflate,
    Zstd,
}

/// Why a body cannot be decompressed.
#[derive(Debug)]
pub(super) enum Damaged {
    TooLarge,
    Invalid,
    /// The bytes cannot be reserved.
    Unreserved(Problem),
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

    /// At most `limit` bytes. `reserve` is called with the number of bytes before they are used.
    pub(super) fn decompress(
        self,
        body: Bytes,
        limit: usize,
        mut reserve: impl FnMut(usize) -> Result<(), Problem>,
    ) -> Result<Bytes, Damaged> {
        match self {
            Self::None if body.len() > limit => Err(Damaged::TooLarge),
            Self::None => {
                reserve(body.len()).map_err(Damaged::Unreserved)?;
                Ok(body)
            }
            Self::Gzip => read(MultiGzDecoder::new(&body[..]), limit, reserve),
            Self::Deflate => read(ZlibDecoder::new(&body[..]), limit, reserve),
            Self::Zstd => match StreamingDecoder::new(&body[..]) {
                Ok(decoder) => read(decoder, limit, reserve),
                Err(_) => Err(Damaged::Invalid),
            },
        }
    }
}

fn read(
    mut decoder: impl Read,
    limit: usize,
    mut reserve: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Bytes, Damaged> {
    let mut decompressed = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let read = match decoder.read(&mut chunk) {
            Ok(0) => return Ok(decompressed.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Damaged::Invalid),
        };
        let needed = decompressed.len() + read;
        if needed > limit {
            return Err(Damaged::TooLarge);
        }
        if needed > decompressed.capacity() {
            let capacity = needed.max(decompressed.capacity() * 2).min(limit);
            reserve(capacity - decompressed.capacity()).map_err(Damaged::Unreserved)?;
            decompressed.reserve_exact(capacity - decompressed.len());
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
            let mut reserved = 0;
            let reserve = |bytes| {
                reserved += bytes;
                Ok(())
            };
            let decompressed = compression.decompress(body.clone(), 100_000, reserve).unwrap();
            assert_eq!(decompressed, &bytes[..]);
            assert_eq!(reserved, 100_000);
            let large = compression.decompress(body, 99_999, |_| Ok(()));
            assert!(matches!(large, Err(Damaged::TooLarge)), "{compression:?}");
        }
    }

    #[test]
    fn bytes_that_cannot_be_reserved_are_not_decompressed() {
        for (compression, body) in compressed(&vec![b'a'; 100_000]) {
            let mut left = 50_000_usize;
            let reserve = |bytes| {
                left = left.checked_sub(bytes).ok_or_else(|| Problem::unavailable("full"))?;
                Ok(())
            };
            let refused = compression.decompress(body, 1 << 20, reserve);
            assert!(matches!(refused, Err(Damaged::Unreserved(_))), "{compression:?}");
        }
    }

    #[test]
    fn damaged_body_is_an_error() {
        for (compression, body) in compressed(&vec![b'a'; 100_000]).into_iter().skip(1) {
            let cut = body.slice(..body.len() - 5);
            for damaged in [cut, Bytes::from_static(b"{\"resourceSpans\": []}")] {
                let damaged = compression.decompress(damaged, 1 << 20, |_| Ok(()));
                assert!(matches!(damaged, Err(Damaged::Invalid)), "{compression:?}");
            }
        }
    }
}
