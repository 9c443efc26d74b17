//! Server-sent events.

use std::mem;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SseEvent {
    /// The name of the event; empty if it has none.
    pub name: String,
    /// The data: its lines, joined by line breaks.
    pub data: String,
}

/// Parses server-sent events as their bytes arrive. Where the bytes are split does not matter.
///
/// Memory is bounded by `max_event_bytes`: an event that is longer is dropped and counted.
///
/// ```
/// use attestry_genai::SseParser;
///
/// let mut parser = SseParser::new(1 << 20);
/// let mut events = parser.push(b"event: ping\nda");
/// events.extend(parser.push(b"ta: {}\n\n: a comment\n\n"));
/// assert_eq!(events.len(), 1);
/// assert_eq!((events[0].name.as_str(), events[0].data.as_str()), ("ping", "{}"));
/// ```
#[derive(Debug)]
pub struct SseParser {
    max_event_bytes: usize,
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// Whether the last byte was a carriage return, whose line feed would end no other line.
    after_return: bool,
    /// Whether no line was complete yet: a byte order mark may be before the first.
    is_first_line: bool,
    event: SseEvent,
    has_data: bool,
    /// Whether the event or the line is too long.
    is_too_long: bool,
    dropped: u64,
}

impl SseParser {
    /// A parser at the start of a stream.
    #[must_use]
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            line: Vec::new(),
            after_return: false,
            is_first_line: true,
            event: SseEvent::default(),
            has_data: false,
            is_too_long: false,
            dropped: 0,
        }
    }

    /// The events that `bytes` complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if mem::take(&mut self.after_return) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            self.add(&rest[..end.unwrap_or(rest.len())]);
            let Some(end) = end else { break };
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            events.extend(self.end_line());
        }
        events
    }

    /// The last event, if the stream ended without the blank line after it.
    pub fn finish(&mut self) -> Option<SseEvent> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_event()
    }

    /// The number of events that were too long.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn add(&mut self, bytes: &[u8]) {
        let length = self.line.len() + self.event.data.len() + bytes.len();
        if length > self.max_event_bytes {
            self.is_too_long = true;
            self.line = Vec::new();
            self.event = SseEvent::default();
        }
        if !self.is_too_long {
            self.line.extend_from_slice(bytes);
        } else if self.line.is_empty() {
            // Tells the line from a blank one.
            self.line.extend(bytes.first());
        }
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let mut line = mem::take(&mut self.line);
        if mem::take(&mut self.is_first_line) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.is_empty() {
            return self.end_event();
        }
        if self.is_too_long {
            return None;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match &line[..colon] {
            b"data" => {
                if mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(&value);
            }
            b"event" => self.event.name = value.into_owned(),
            // Comments, `id` and `retry` say nothing about the call.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<SseEvent> {
        if mem::take(&mut self.is_too_long) {
            self.dropped += 1;
            self.has_data = false;
            self.event = SseEvent::default();
            return None;
        }
        let event = mem::take(&mut self.event);
        mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = SseParser::new(100);
        let mut events: Vec<_> = chunks.iter().flat_map(|chunk| parser.push(chunk)).collect();
        events.extend(parser.finish());
        events.into_iter().map(|event| (event.name, event.data)).collect()
    }

    const STREAM: &str = "\u{feff}data: a\r\n\r\nevent: x\ndata:b\ndata:  c\n\n: comment\n\nid: 1\n\ndata\n\rdata: \u{e9}\r\rdata: last";

    #[test]
    fn events_do_not_depend_on_where_the_bytes_are_split() {
        let whole = events(&[STREAM.as_bytes()]);
        let expected = [("", "a"), ("x", "b\n c"), ("", ""), ("", "\u{e9}"), ("", "last")];
        let shown: Vec<_> =
            whole.iter().map(|(name, data)| (name.as_str(), data.as_str())).collect();
        assert_eq!(shown, expected);
        for split in 0..STREAM.len() {
            let (a, b) = STREAM.as_bytes().split_at(split);
            assert_eq!(events(&[a, b]), whole, "split at {split}");
        }
        let bytes: Vec<_> = STREAM.as_bytes().chunks(1).collect();
        assert_eq!(events(&bytes), whole);
    }

    #[test]
    fn too_long_events_are_dropped_and_counted() {
        let mut parser = SseParser::new(10);
        let long = format!("data: {}\n", "x".repeat(50));
        let stream = format!("data: a\n\n{long}data: b\n\ndata: c\n\n");
        let mut events = Vec::new();
        for byte in stream.as_bytes() {
            events.extend(parser.push(&[*byte]));
            assert!(parser.line.len() + parser.event.data.len() <= 10);
        }
        let data: Vec<_> = events.iter().map(|event| event.data.as_str()).collect();
        assert_eq!((data, parser.dropped()), (vec!["a", "c"], 1));
    }
}
