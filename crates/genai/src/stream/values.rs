//! JSON values in a row, or in an array: split without parsing.

/// Splits a stream of bytes into JSON values: values in a row with any white space between them, and the elements of
/// an array that is the whole stream. Where the bytes are split does not matter.
///
/// Each value is one line: white space outside of strings is left out. Of a value of more than `max_bytes`, that many come
/// out, which are not JSON then; it is counted by [`too_long`](Self::too_long). Bytes that are not JSON come out as they
/// are.
///
/// ```
/// use attestry_genai::ValueSplitter;
///
/// let mut splitter = ValueSplitter::new(1 << 20);
/// let mut values = Vec::new();
/// splitter.push(b"[{\"a\":\n 1},", |value| values.push(value.to_vec()));
/// splitter.push(b" {\"a\": 2}]", |value| values.push(value.to_vec()));
/// assert_eq!(values, [br#"{"a":1}"#, br#"{"a":2}"#]);
/// ```
#[derive(Debug)]
pub struct ValueSplitter {
    max_bytes: usize,
    value: Vec<u8>,
    /// Depth within the value.
    depth: u64,
    in_array: bool,
    in_string: bool,
    is_escaped: bool,
    is_too_long: bool,
    has_begun: bool,
    too_long: u64,
}

impl ValueSplitter {
    /// A splitter at the start of a stream.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            value: Vec::new(),
            depth: 0,
            in_array: false,
            in_string: false,
            is_escaped: false,
            is_too_long: false,
            has_begun: false,
            too_long: 0,
        }
    }

    /// Passes each value that `bytes` complete to `found`.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(&[u8])) {
        for byte in bytes {
            self.add(*byte, &mut found);
        }
    }

    /// Passes the last value to `found`, if the stream ended in it.
    pub fn finish(&mut self, mut found: impl FnMut(&[u8])) {
        self.end_value(&mut found);
    }

    /// The number of values that were too long.
    #[must_use]
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    fn add(&mut self, byte: u8, found: &mut impl FnMut(&[u8])) {
        if self.in_string {
            self.keep(byte);
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => {
                    self.in_string = false;
                    self.end_if_whole(found);
                }
                _ => {}
            }
            return;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                if self.depth == 0 {
                    self.end_value(found);
                }
            }
            b'[' if self.depth == 0
                && self.value.is_empty()
                && !self.in_array
                && !self.has_begun =>
            {
                self.in_array = true;
            }
            b']' | b',' if self.depth == 0 && self.in_array => {
                self.end_value(found);
                self.in_array = byte == b',';
            }
            _ => {
                // White space ends a number only at depth 0, so that two of them never become one.
                self.keep(byte);
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        self.end_if_whole(found);
                    }
                    _ => {}
                }
            }
        }
        self.has_begun = true;
    }

    fn keep(&mut self, byte: u8) {
        if self.value.len() < self.max_bytes {
            self.value.push(byte);
        } else {
            self.is_too_long = true;
        }
    }

    /// Objects and arrays end by themselves; scalars by what follows.
    fn end_if_whole(&mut self, found: &mut impl FnMut(&[u8])) {
        if self.depth == 0 && !self.in_string {
            self.end_value(found);
        }
    }

    fn end_value(&mut self, found: &mut impl FnMut(&[u8])) {
        self.too_long += u64::from(std::mem::take(&mut self.is_too_long));
        if !self.value.is_empty() {
            found(&self.value);
        }
        self.value.clear();
        self.value.shrink_to(1 << 20);
        (self.depth, self.in_string, self.is_escaped) = (0, false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = ValueSplitter::new(100);
        let mut values = Vec::new();
        let mut add = |value: &[u8]| values.push(String::from_utf8_lossy(value).into_owned());
        for chunk in chunks {
            splitter.push(chunk, &mut add);
        }
        splitter.finish(&mut add);
        values
    }

    #[test]
    fn values_do_not_depend_on_where_the_bytes_are_split() {
        for (stream, expected) in [
            (
                "{\"a\": \"x y]\\\"\"}\n{\"b\":[1, 2]}",
                vec!["{\"a\":\"x y]\\\"\"}", "{\"b\":[1,2]}"],
            ),
            ("[{\"a\":1}, {\"b\": {}} ]\n", vec!["{\"a\":1}", "{\"b\":{}}"]),
            ("[]", vec![]),
            ("", vec![]),
            ("[1, \"a\", [2]]", vec!["1", "\"a\"", "[2]"]),
            ("{\"a\":1}{\"b\":2}", vec!["{\"a\":1}", "{\"b\":2}"]),
            ("1 2", vec!["1", "2"]),
            ("{\"cut\":", vec!["{\"cut\":"]),
            ("}x", vec!["}", "x"]),
        ] {
            assert_eq!(values(&[stream.as_bytes()]), expected, "{stream}");
            for split in 0..stream.len() {
                let (a, b) = stream.as_bytes().split_at(split);
                assert_eq!(values(&[a, b]), expected, "{stream} split at {split}");
            }
        }
    }

    #[test]
    fn too_long_values_are_cut_and_counted() {
        let mut splitter = ValueSplitter::new(10);
        let mut count = 0;
        let long = format!("[{{\"a\":\"{}\"}},{{\"b\":1}}]", "x".repeat(1000));
        splitter.push(long.as_bytes(), |_| count += 1);
        assert_eq!((count, splitter.too_long()), (2, 1));
    }
}
