//! Reads lines of any length in bounded memory, many at a time.

use std::io::{self, BufRead, Read};
use std::sync::mpsc;

use attestry::line::MAX_LINE_BYTES;

/// How much is read at once: a few hundred interactions.
const BLOCK_BYTES: usize = 512 << 10;

/// What was read up to some place in the input.
pub(crate) struct Chunk {
    pub(crate) content: Content,
    /// The number of the first line of it; lines count from 1.
    pub(crate) first_line: u64,
    /// The number of the last line of it.
    pub(crate) last_line: u64,
    /// How many bytes of the input end with it.
    pub(crate) end: u64,
    /// Where its memory goes when it is done with.
    spare: mpsc::Sender<Vec<u8>>,
}

/// What a [`Chunk`] holds.
pub(crate) enum Content {
    /// Whole lines; the last one of the input may lack its line break.
    Lines(Vec<u8>),
    /// One line that is too long to be read, and how long it is. Its bytes were dropped.
    TooLong { length: u64 },
}

impl Chunk {
    /// How much memory it takes.
    pub(crate) fn size(&self) -> usize {
        match &self.content {
            Content::Lines(bytes) => bytes.capacity(),
            Content::TooLong { .. } => 0,
        }
    }

    /// The lines that are not blank, with their numbers, each without its line break; or instead
    /// of one that is too long its length.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u64, Result<&[u8], u64>)> {
        let (bytes, too_long) = match &self.content {
            Content::Lines(bytes) => (bytes.as_slice(), None),
            Content::TooLong { length } => (&[][..], Some((self.first_line, Err(*length)))),
        };
        let mut rest = bytes;
        let mut number = self.first_line;
        let lines = std::iter::from_fn(move || {
            while !rest.is_empty() {
                let whole = rest;
                // A search that uses the machine's vector instructions; slices have none. Reading
                // from memory cannot fail.
                let length = rest.skip_until(b'\n').unwrap_or(whole.len());
                let line = whole[..length].trim_ascii();
                let this = number;
                number += 1;
                if line.len() > MAX_LINE_BYTES {
                    return Some((this, Err(line.len() as u64)));
                }
                if !line.is_empty() {
                    return Some((this, Ok(line)));
                }
            }
            None
        });
        too_long.into_iter().chain(lines)
    }
}

/// The reader reads into this memory again, which spares it the cleaning of new one.
impl Drop for Chunk {
    fn drop(&mut self) {
        if let Content::Lines(bytes) = &mut self.content
            && (BLOCK_BYTES..=2 * BLOCK_BYTES).contains(&bytes.capacity())
        {
            // Where the reader is done, it is simply freed.
            let _ = self.spare.send(std::mem::take(bytes));
        }
    }
}

/// Cuts an input into [`Chunk`]s.
pub(crate) struct Chunks<R> {
    input: R,
    /// What was read and not handed out: the beginning of a line, in `..filled`.
    buffer: Vec<u8>,
    filled: usize,
    next_line: u64,
    end: u64,
    /// Memory of chunks that are done with.
    spares: mpsc::Receiver<Vec<u8>>,
    spare: mpsc::Sender<Vec<u8>>,
}

impl<R: Read> Chunks<R> {
    pub(crate) fn new(input: R) -> Self {
        let (spare, spares) = mpsc::channel();
        Self { input, buffer: Vec::new(), filled: 0, next_line: 1, end: 0, spares, spare }
    }

    /// The next chunk, as soon as a whole line is there; `None` at the end of the input.
    pub(crate) fn next(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            let before = self.filled;
            let read = self.read_block()?;
            if read == 0 {
                let rest = self.take(before);
                return Ok((!rest.is_empty()).then(|| self.chunk(Content::Lines(rest), 1)));
            }
            let new = &self.buffer[before..self.filled];
            if let Some(last) = new.iter().rposition(|byte| *byte == b'\n') {
                let breaks = line_breaks(new);
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
        let (last_line, spare) = (self.next_line - 1, self.spare.clone());
        Chunk { content, first_line, last_line, end: self.end, spare }
    }

    /// Hands out the first `length` bytes, without a byte order mark where the input begins.
    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = length..self.filled;
        self.filled = rest.len();
        let mut taken;
        if length < BLOCK_BYTES / 4 {
            // A pipe gives little at a time; that is not worth a new buffer.
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

    /// Reads what is there, up to a block, behind what is held; 0 at the end of the input.
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

    /// Drops the line whose beginning is held, up to its line break or the end of the input.
    fn skip_line(&mut self) -> io::Result<Chunk> {
        let mut length = self.filled as u64;
        self.buffer = Vec::new();
        loop {
            self.filled = 0;
            let read = self.read_block()?;
            let found = self.buffer[..read].iter().position(|byte| *byte == b'\n');
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

/// Counts line breaks in groups that a byte can count, which compilers turn into vector code.
fn line_breaks(bytes: &[u8]) -> u64 {
    let in_group = |group: &[u8]| group.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>();
    bytes.chunks(255).map(|group| u64::from(in_group(group))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `step` bytes at a time, as a slow pipe does.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(self.1).min(buffer.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    /// All lines of `input` with their numbers; those too long as their length.
    fn lines(input: &[u8], step: usize) -> Vec<(u64, Result<Vec<u8>, u64>)> {
        let mut chunks = Chunks::new(Slowly(input, step));
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
    fn lines_keep_their_numbers_however_they_arrive() {
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
    fn a_line_that_is_too_long_is_measured_and_dropped() {
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
    fn the_longest_line_allowed_is_read() {
        for (length, allowed) in [(MAX_LINE_BYTES, true), (MAX_LINE_BYTES + 1, false)] {
            let mut input = vec![b'x'; length];
            input.push(b'\n');
            let lines = lines(&input, usize::MAX);
            assert_eq!(lines.len(), 1);
            assert_eq!(lines[0].1.is_ok(), allowed, "{length}");
        }
    }
}
