//! Splits a file into lines with their offsets, in bounded memory.

use std::fs::File;
use std::io;

use attestry_core::MAX_LINE_BYTES;

use crate::fs::sys;

const CHUNK_BYTES: usize = 256 << 10;

/// Parsing a longer line takes too long for a thread that must not block.
pub(crate) const LONG_LINE_BYTES: u32 = 64 << 10;

/// One line, without its line break.
pub(crate) enum RawLine<'a> {
    Bytes(&'a [u8]),
    /// The length of a line that exceeds the limit; its bytes were skipped.
    TooLong(u64),
}

/// Calls `visit` with the offset and the bytes of each line of `file` that starts at `from` or later, which
/// must be the start of a line, and ends before `to`. Returns the end of the last line: `to`, or the start
/// of a last line without a line break.
pub(crate) fn for_each_line(
    file: &File,
    from: u64,
    to: u64,
    visit: impl FnMut(u64, RawLine<'_>),
) -> io::Result<u64> {
    split(file, from, to, CHUNK_BYTES, MAX_LINE_BYTES, visit)
}

/// [`for_each_line`] with `chunk` bytes per read, skipping lines longer than `max_length`.
pub(super) fn split(
    file: &File,
    from: u64,
    to: u64,
    chunk: usize,
    max_length: usize,
    mut visit: impl FnMut(u64, RawLine<'_>),
) -> io::Result<u64> {
    let left = |read_to| chunk.min(usize::try_from(to.saturating_sub(read_to)).unwrap_or(chunk));
    // Zeroed by the allocator, which is cheaper than `resize` does it. The first `kept` bytes begin a line.
    let mut buffer = vec![0; left(from)];
    let mut kept = 0;
    let mut read_to = from;
    let mut line_start = from;
    loop {
        let wanted = kept + left(read_to);
        if buffer.len() < wanted {
            buffer.resize(wanted, 0);
        }
        let count = sys::read_at(file, &mut buffer[kept..wanted], read_to)?;
        let filled = kept + count;
        if count == 0 {
            return Ok(line_start);
        }
        read_to += count as u64;
        // While a long line is skipped, the buffer starts after the start of the line.
        let buffer_start = read_to - filled as u64;
        let mut consumed = 0;
        for at in memchr::memchr_iter(b'\n', &buffer[kept..filled]) {
            let end = kept + at;
            let end_offset = buffer_start + end as u64;
            let length = end_offset - line_start;
            if length > max_length as u64 {
                visit(line_start, RawLine::TooLong(length));
            } else {
                visit(line_start, RawLine::Bytes(&buffer[consumed..end]));
            }
            consumed = end + 1;
            line_start = end_offset + 1;
        }
        buffer.copy_within(consumed..filled, 0);
        kept = filled - consumed;
        if kept > max_length {
            kept = 0;
        }
    }
}

/// Reads the `length` bytes at `offset`.
pub(crate) fn read_line(file: &File, offset: u64, length: u32) -> io::Result<Vec<u8>> {
    let mut line = vec![0; length as usize];
    sys::read_exact_at(file, &mut line, offset)?;
    Ok(line)
}

/// The start of an unterminated last line of a file of `length` bytes; `length` if the file is empty or
/// ends with a line break.
pub(crate) fn tail_start(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut buffer = vec![0; CHUNK_BYTES];
    while end > 0 {
        let count = CHUNK_BYTES.min(usize::try_from(end).unwrap_or(CHUNK_BYTES));
        // Usually the last byte is the line break.
        let count = if end == length { 1 } else { count };
        let start = end - count as u64;
        sys::read_exact_at(file, &mut buffer[..count], start)?;
        if let Some(at) = memchr::memrchr(b'\n', &buffer[..count]) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Whether an erasure may have overwritten a part of this line. It overwrites from the front; but if the line
/// is on two pages, a concurrent read may return the old first page and the new second one.
pub(crate) fn may_be_erased(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b' ') || bytes.last() == Some(&b' ')
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use proptest::prelude::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn lines(content: &[u8], from: u64) -> (Vec<(u64, Vec<u8>)>, u64) {
        let mut found = Vec::new();
        let end =
            for_each_line(&file(content), from, content.len() as u64, |offset, line| match line {
                RawLine::Bytes(bytes) => found.push((offset, bytes.to_vec())),
                RawLine::TooLong(length) => {
                    found.push((offset, format!("{length} bytes").into_bytes()))
                }
            });
        (found, end.unwrap())
    }

    #[test]
    fn skips_a_line_that_is_too_long() {
        let mut content = b"a\n".to_vec();
        content.resize(content.len() + MAX_LINE_BYTES + 1, b'x');
        content.extend_from_slice(b"\nb\n");
        let length = (MAX_LINE_BYTES + 1) as u64;
        let (found, end) = lines(&content, 0);
        assert_eq!(
            found,
            [
                (0, b"a".to_vec()),
                (2, format!("{length} bytes").into_bytes()),
                (3 + length, b"b".to_vec())
            ]
        );
        assert_eq!(end, content.len() as u64);
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_split(
            parts in proptest::collection::vec(("[ab]{0,5}", 0..2_000usize), 0..300), terminated in any::<bool>(),
        ) {
            let mut content = Vec::new();
            let mut expected = Vec::new();
            for (text, repeat) in parts {
                let line = text.repeat(repeat).into_bytes();
                expected.push((content.len() as u64, line.clone()));
                content.extend_from_slice(&line);
                content.push(b'\n');
            }
            let whole = content.len() as u64;
            if !terminated {
                content.extend_from_slice(b"torn");
            }
            let (found, end) = lines(&content, 0);
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(end, whole);
            prop_assert_eq!(tail_start(&file(&content), content.len() as u64).unwrap(), whole);
            if let Some((offset, _)) = expected.get(expected.len() / 2) {
                prop_assert_eq!(&lines(&content, *offset).0, &expected[expected.len() / 2..]);
            }
        }
    }
}
