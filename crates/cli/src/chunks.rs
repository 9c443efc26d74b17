//! Reads an input in chunks of whole lines, in bounded memory.

use std::io::{self, Read};
use std::sync::mpsc;

use attestry::line::MAX_LINE_BYTES;
use memchr::{memchr, memchr_iter, memrchr};

/// Size of one read: a few hundred interactions.
const BLOCK_BYTES: usize = 512 << 10;

/// Consecutive lines of the input.
pub(crate) struct Chunk {
    pub(crate) content: Content,
    /// Number of its first line, counted from 1.
    pub(crate) first_line: u64,
    /// Number of its last line.
    pub(crate) last_line: u64,
    /// Offset of its end in the input, in bytes.
    pub(crate) end: u64,
    /// Returns its buffer to the reader.
    spare_sender: mpsc::Sender<Vec<u8>>,
}

/// Content of a [`Chunk`].
pub(crate) enum Content {
    /// Whole lines. The last line of the input may have no line break.
    Lines(Vec<u8>),
    /// The length of one line that is too long. Its bytes were discarded.
    TooLong { length: u64 },
}

impl Chunk {
    /// Memory of the chunk in bytes.
    pub(crate) fn size(&self) -> usize {
        match &self.content {
            Content::Lines(bytes) => bytes.capacity(),
            Content::TooLong { .. } => 0,
        }
    }

    /// The numbers of the lines that are not blank, each with the trimmed line, or with the length of a line
    /// that is too long.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u64, Result<&[u8], u64>)> {
        let (bytes, too_long) = match &self.content {
            Content::Lines(bytes) => (bytes.as_slice(), None),
            Content::TooLong { length } => (&[][..], Some((self.first_line, Err(*length)))),
        };
        let mut rest = bytes;
        let mut number = self.first_line;
        let lines = std::iter::from_fn(move || {
            while !rest.is_empty() {
                let length = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                let (line, others) = rest.split_at(length);
                let line = line.trim_ascii();
                rest = others;
                let line_number = number;
                number += 1;
                if line.len() > MAX_LINE_BYTES {
                    return Some((line_number, Err(line.len() as u64)));
                }
                if !line.is_empty() {
                    return Some((line_number, Ok(line)));
                }
            }
            None
        });
        too_long.into_iter().chain(lines)
    }
}

/// Returns the buffer to the reader, which saves zeroing a new one.
impl Drop for Chunk {
    fn drop(&mut self) {
        if let Content::Lines(bytes) = &mut self.content
            && (BLOCK_BYTES..=2 * BLOCK_BYTES).contains(&bytes.capacity())
        {
            // Fails if the reader has finished; the buffer is then freed.
            let _ = self.spare_sender.send(std::mem::take(bytes));
        }
    }
}

/// Splits an input into [`Chunk`]s.
pub(crate) struct Chunks<R> {
    input: R,
    /// In `..filled`, the beginning of a line that is not complete yet.
    buffer: Vec<u8>,
    filled: usize,
    next_line: u64,
    end: u64,
    /// Buffers of dropped chunks.
    spares: mpsc::Receiver<Vec<u8>>,
    spare_sender: mpsc::Sender<Vec<u8>>,
}

impl<R: Read> Chunks<R> {
    pub(crate) fn new(input: R) -> Self {
        let (spare_sender, spares) = mpsc::channel();
        Self { input, buffer: Vec::new(), filled: 0, next_line: 1, end: 0, spares, spare_sender }
    }

    /// Returns a chunk as soon as a whole line was read, and `None` at the end of the input.
    pub(crate) fn next(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            let before = self.filled;
            let read = self.read_block()?;
            if read == 0 {
                let rest = self.take(before);
                return Ok((!rest.is_empty()).then(|| self.chunk(Content::Lines(rest), 1)));
            }
            let new = &self.buffer[before..self.filled];
            if let Some(last) = memrchr(b'\n', new) {
                let breaks = memchr_iter(b'\n', new).count() as u64;
                let lines = self.take(before + last + 1);
                return Ok(Some(self.chunk(Content::Lines(lines), breaks)));
            }
            if self.filled > MAX_LINE_BYTES {
                return self.skip_line().map(Some);
            }
        }
    }

    fn chunk(&mut self, content: Content, lines: u64) -> Chunk {
        let first_line = self.next_line;
        self.next_line += lines;
        if let Content::Lines(bytes) = &content {
            self.end += bytes.len() as u64;
        }
        let (last_line, spare_sender) = (self.next_line - 1, self.spare_sender.clone());
        Chunk { content, first_line, last_line, end: self.end, spare_sender }
    }

    /// Removes the first `length` bytes from the buffer. Replaces a byte order mark at the start of the
    /// input by spaces.
    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = length..self.filled;
        self.filled = rest.len();
        let mut taken;
        if length < BLOCK_BYTES / 4 {
            // Short reads from a pipe: copying is cheaper than a new buffer.
            taken = self.buffer[..length].to_vec();
            self.buffer.copy_within(rest, 0);
        } else {
            let mut buffer = self.spares.try_recv().unwrap_or_default();
            buffer.resize(buffer.len().max(rest.len() + BLOCK_BYTES), 0);
            buffer[..rest.len()].copy_from_slice(&self.buffer[rest]);
            taken = std::mem::replace(&mut self.buffer, buffer);
            taken.truncate(length);
        }
        if self.end == 0 && taken.starts_with(b"\xef\xbb\xbf") {
            taken[..3].fill(b' ');
        }
        taken
    }

    /// Reads up to a block to the end of the buffer. Returns 0 at the end of the input.
    fn read_block(&mut self) -> io::Result<usize> {
        if self.buffer.len() < self.filled + BLOCK_BYTES {
            self.buffer.resize(self.filled + BLOCK_BYTES, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(read) => {
                    self.filled += read;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Discards the line that the buffer begins with, up to its line break or the end of the input.
    fn skip_line(&mut self) -> io::Result<Chunk> {
        let mut length = self.filled as u64;
        self.buffer = Vec::new();
        loop {
            self.filled = 0;
            let read = self.read_block()?;
            let found = memchr(b'\n', &self.buffer[..read]);
            length += found.unwrap_or(read) as u64;
            if found.is_some() || read == 0 {
                let line_break = usize::from(found.is_some());
                self.take(found.unwrap_or(0) + line_break);
                self.end += length + line_break as u64;
                return Ok(self.chunk(Content::TooLong { length }, 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads at most this number of bytes at a time, like a slow pipe.
    struct ShortReads<'a>(&'a [u8], usize);

    impl Read for ShortReads<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(self.1).min(buffer.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    /// All lines of `input`, read `step` bytes at a time.
    fn lines(input: &[u8], step: usize) -> Vec<(u64, Result<Vec<u8>, u64>)> {
        let mut chunks = Chunks::new(ShortReads(input, step));
        let mut all = Vec::new();
        let mut end = 0;
        while let Some(chunk) = chunks.next().unwrap() {
            all.extend(chunk.lines().map(|(number, line)| (number, line.map(<[u8]>::to_vec))));
            end = chunk.end;
        }
        assert_eq!(end, input.len() as u64);
        all
    }

    #[test]
    fn line_numbers_do_not_depend_on_read_size() {
        let input = b"\xef\xbb\xbfone\n\n  two\r\n \n\nthree";
        let expected: Vec<_> = [(1, "one"), (3, "two"), (6, "three")]
            .map(|(number, line)| (number, Ok(line.as_bytes().to_vec())))
            .into();
        for step in [3, 4, 5, 7, 100] {
            assert_eq!(lines(input, step), expected, "{step} bytes at a time");
        }
        assert_eq!(lines(b"", 1), []);
        assert_eq!(lines(b"\n\n", 1), []);
    }

    #[test]
    fn too_long_line_is_measured_and_skipped() {
        let long = MAX_LINE_BYTES + 3 * BLOCK_BYTES + 17;
        let mut input = b"first\n".to_vec();
        input.resize(input.len() + long, b'x');
        input.extend_from_slice(b"\nlast\n");
        let expected =
            [(1, Ok(b"first".to_vec())), (2, Err(long as u64)), (3, Ok(b"last".to_vec()))];
        assert_eq!(lines(&input, usize::MAX), expected);

        input.truncate(input.len() - b"\nlast\n".len());
        assert_eq!(lines(&input, usize::MAX), expected[..2]);
    }

    #[test]
    fn line_of_maximum_length_is_read() {
        for (length, allowed) in [(MAX_LINE_BYTES, true), (MAX_LINE_BYTES + 1, false)] {
            let mut input = vec![b'x'; length];
            input.push(b'\n');
            let lines = lines(&input, usize::MAX);
            assert_eq!(lines.len(), 1);
            assert_eq!(lines[0].1.is_ok(), allowed, "{length}");
        }
    }
}
