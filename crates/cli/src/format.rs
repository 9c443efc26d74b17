//! Recognises what a file of records is by its first bytes: decompresses it, makes lines of it, or refuses it with what
//! to do.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::{Arc, OnceLock};

use attestry_genai::Format;
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::lines::{CsvRows, JsonDocuments};

/// How many bytes of the beginning are examined at most.
const MAX_HEAD_BYTES: usize = 1 << 20;
const BLOCK_BYTES: usize = 64 << 10;
/// Buffer of compressed bytes.
const BUFFER_BYTES: usize = 128 << 10;

type Reader = Box<dyn Read + Send>;

/// The records of an input, decompressed and one a line.
pub(crate) struct Records {
    state: State,
    detected: Detected,
    is_empty: bool,
    is_compressed: bool,
}

/// The format of the records of an input, once its beginning was read. `None` inside, if it is not known.
pub(crate) type Detected = Arc<OnceLock<Option<Format>>>;

enum State {
    /// Nothing was read yet; `None` after an error.
    Unknown(Option<Reader>),
    Recognised(Reader),
}

/// A file that is not JSON Lines.
#[derive(Debug)]
struct OtherFormat {
    name: &'static str,
    advice: &'static str,
}

impl std::error::Error for OtherFormat {}

impl fmt::Display for OtherFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is {}, not JSON Lines; {}", self.name, self.advice)
    }
}

/// Formats with their first bytes, their names, and how to convert them.
const OTHER_FORMATS: &[(&[u8], &str, &str)] = &[
    (
        b"PAR1",
        "Parquet",
        "convert it, for instance with duckdb -c \"COPY (FROM 'FILE') TO 'FILE.jsonl'\"",
    ),
    (b"Obj\x01", "Avro", "convert it to JSON Lines"),
    (b"ARROW1", "Arrow", "convert it to JSON Lines"),
    (b"SQLite format 3\0", "an SQLite database", "export its table as JSON Lines"),
    (b"BZh", "compressed with bzip2", "decompress it: bzcat FILE | attestry import -"),
    (b"\xfd7zXZ\0", "compressed with xz", "decompress it: xzcat FILE | attestry import -"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "decompress it: lz4cat FILE | attestry import -"),
    (b"PK\x03\x04", "a ZIP archive", "extract it"),
    (b"\xff\xfe", "UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 FILE | attestry import -"),
    (b"\xfe\xff", "UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 FILE | attestry import -"),
    (b"{\0", "UTF-16", "convert it: iconv -f UTF-16LE -t UTF-8 FILE | attestry import -"),
    (b"\0{", "UTF-16", "convert it: iconv -f UTF-16BE -t UTF-8 FILE | attestry import -"),
];

impl Records {
    pub(crate) fn new(input: Reader) -> Self {
        let state = State::Unknown(Some(input));
        Self { state, detected: Detected::default(), is_empty: false, is_compressed: false }
    }

    /// The format, once it is recognised.
    pub(crate) fn detected(&self) -> Detected {
        Arc::clone(&self.detected)
    }

    /// Reads the beginning and recognises the format, unless that has been done.
    pub(crate) fn recognise(&mut self) -> io::Result<&mut Reader> {
        if let State::Unknown(input) = &mut self.state {
            let input = input.take().ok_or(io::ErrorKind::UnexpectedEof)?;
            let reader = self.recognise_in(input)?;
            self.state = State::Recognised(reader);
        }
        match &mut self.state {
            State::Recognised(reader) => Ok(reader),
            State::Unknown(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn recognise_in(&mut self, mut input: Reader) -> io::Result<Reader> {
        let head = read_head(&mut input)?;
        self.is_empty = head.is_empty();
        let is_gzip = head.starts_with(b"\x1f\x8b");
        let is_zstd = head.starts_with(b"\x28\xb5\x2f\xfd")
            || (head.get(1..4) == Some(b"\x2a\x4d\x18") && head[0] & 0xf0 == 0x50);
        if !(is_gzip || is_zstd) {
            return self.lines(head, input);
        }
        self.is_compressed = true;
        let compressed = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(input));
        let records: Reader = if is_gzip {
            Box::new(MultiGzDecoder::new(compressed))
        } else {
            Box::new(Zstd::new(compressed))
        };
        // Its content may be of any format, too.
        self.recognise_in(records)
    }

    /// The lines of an input that begins with `head`.
    fn lines(&self, head: Vec<u8>, input: Reader) -> io::Result<Reader> {
        if let Some(other) = other_format(&head) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, other));
        }
        let text = text_of(&head);
        let is_document =
            text.starts_with(b"[") || first_line(&head).is_some_and(|line| line == b"{");
        let is_csv = is_header_of_csv(text);
        let start = text.strip_prefix(b"[").unwrap_or(text);
        let format = if is_csv { Some(Format::Langfuse) } else { Format::detect(start) };
        // Set once: `recognise` is done once.
        let _ = self.detected.set(format);
        let skipped = head.len() - text.len();
        let whole = Cursor::new(head).chain(input);
        if is_document || is_csv {
            let mut whole = whole;
            // A byte order mark is no JSON, and no name of a column.
            io::copy(&mut whole.by_ref().take(skipped as u64), &mut io::sink())?;
            return Ok(match is_csv {
                true => Box::new(CsvRows::new(whole)?),
                false => Box::new(JsonDocuments::new(whole)),
            });
        }
        Ok(Box::new(whole))
    }

    /// Whether there is not a single byte. To be called after [`recognise`](Self::recognise).
    pub(crate) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// To be called after [`recognise`](Self::recognise).
    pub(crate) fn is_compressed(&self) -> bool {
        self.is_compressed
    }
}

impl Read for Records {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recognise()?.read(buffer)
    }
}

/// The bytes up to the end of the first line that is not blank, if it is not too long.
fn read_head(input: &mut Reader) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = vec![0; BLOCK_BYTES];
    while head.len() < MAX_HEAD_BYTES && first_line(&head).is_none() {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => head.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

/// The first line that is not blank, if `head` contains its end.
fn first_line(head: &[u8]) -> Option<&[u8]> {
    let text = text_of(head);
    let end = text.iter().position(|&byte| byte == b'\n')?;
    Some(text[..end].trim_ascii_end())
}

/// Without a byte order mark and white space.
fn text_of(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start()
}

/// Whether `text` begins with the names of the columns of an export of Langfuse, the one source that writes CSV.
fn is_header_of_csv(text: &[u8]) -> bool {
    let Some(line) = text.split(|byte| *byte == b'\n').next() else { return false };
    let has = |name: &str| {
        let names = line.trim_ascii_end().split(|byte| *byte == b',');
        names.into_iter().any(|column| {
            column.trim_ascii() == name.as_bytes() || column == format!("\"{name}\"").as_bytes()
        })
    };
    !text.starts_with(b"{")
        && has("id")
        && (has("trace_id") || has("traceId"))
        && (has("start_time") || has("startTime"))
}

fn other_format(head: &[u8]) -> Option<OtherFormat> {
    let (_, name, advice) = OTHER_FORMATS.iter().find(|(magic, ..)| head.starts_with(magic))?;
    Some(OtherFormat { name, advice })
}

/// Decompresses the frames of a zstd file, one after the other.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), in_frame: false }
    }

    /// Begins the next frame that contains data. Returns false at the end of the file.
    fn begin_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let length = match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => u64::from(length),
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            };
            if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stored = self.decoder.get_checksum_from_data();
        if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
            let error = "the checksum of a zstd frame does not match its content";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if !self.begin_frame()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.decoder.is_finished() {
                self.end_frame()?;
                continue;
            }
            self.decoder
                .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        Records::new(Box::new(Cursor::new(bytes.to_vec()))).read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn documents_and_rows_are_read_as_lines_of_their_format() {
        for (bytes, lines, format) in [
            (&b" \n[{\"input\": 1}]"[..], "{\"input\":1}\n", Some(Format::Attestry)),
            (
                b"\xef\xbb\xbf[{\"run_type\": \"llm\"}]",
                "{\"run_type\":\"llm\"}\n",
                Some(Format::LangSmith),
            ),
            (b"{\r\n  \"input\": \"a\"\n}\n", "{\"input\":\"a\"}\n", Some(Format::Attestry)),
            (
                b"id,trace_id,start_time\n1,2,3\n",
                "{\"id\":\"1\",\"trace_id\":\"2\",\"start_time\":\"3\"}\n",
                Some(Format::Langfuse),
            ),
            (b"{\"a\": 1}\n", "{\"a\": 1}\n", None),
        ] {
            let mut records = Records::new(Box::new(Cursor::new(bytes.to_vec())));
            let mut text = String::new();
            records.read_to_string(&mut text).unwrap();
            assert_eq!(
                (text.as_str(), records.detected().get().copied().flatten()),
                (lines, format)
            );
        }
    }

    #[test]
    fn other_formats_are_named_with_what_to_do() {
        for (bytes, name, advice) in [
            (&b"PAR1\x15"[..], "Parquet", "duckdb"),
            (b"\xff\xfe{\0", "UTF-16", "iconv"),
            (b"{\0\"\0", "UTF-16", "iconv"),
            (b"BZh91AY", "bzip2", "bzcat"),
        ] {
            let error = read(bytes).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            let error = error.to_string();
            assert!(error.contains(name) && error.contains(advice), "{error}");
        }
    }

    #[test]
    fn records_pass_unchanged() {
        let long = "x".repeat(3 * MAX_HEAD_BYTES);
        for text in ["", "\n\n", "{}", "\u{feff}{}\n{}\n", "not json\n{\n", &long] {
            assert_eq!(read(text.as_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn compressed_files_are_decompressed_across_members() {
        let gzip = |text: &str| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let two = [gzip("{\"a\":1}\n"), gzip("{\"b\":2}\n")].concat();
        assert_eq!(read(&two).unwrap(), "{\"a\":1}\n{\"b\":2}\n");
        assert!(read(&gzip("PAR1")).unwrap_err().to_string().contains("Parquet"));
        assert_eq!(
            read(&gzip(&String::from_utf8(long_text()).unwrap())).unwrap().len(),
            long_text().len()
        );
        for cut in [5, two.len() - 1] {
            assert!(read(&two[..cut]).is_err(), "a truncated file is an error");
        }

        let zstd = |text: &[u8]| {
            use ruzstd::encoding::{CompressionLevel, compress_to_vec};
            compress_to_vec(text, CompressionLevel::Fastest)
        };
        let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
        let two = [&skippable[..], &zstd(b"{\"a\":1}\n"), skippable, &zstd(b"{}")].concat();
        assert_eq!(read(&two).unwrap(), "{\"a\":1}\n{}");
        assert_eq!(read(&zstd(&long_text())).unwrap().len(), long_text().len());
        for cut in [5, 11 + 5, two.len() - 1] {
            assert!(read(&two[..cut]).is_err(), "a truncated file is an error");
        }
    }

    fn long_text() -> Vec<u8> {
        b"{\"a\":12}\n".repeat(10_000)
    }
}
