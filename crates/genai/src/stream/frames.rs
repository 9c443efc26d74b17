//! From the bytes of a streamed response to JSON events, whatever the framing.

use super::event_stream::EventStream;
use super::frame::Frame;
use super::sse::{SseEvent, SseParser};
use super::values::ValueSplitter;
use crate::json;

/// Server-sent events, JSON values in a row or in an array, or Amazon's binary messages: the first byte tells.
pub(crate) struct Frames {
    max_event_bytes: usize,
    framing: Option<Framing>,
}

enum Framing {
    Sse(SseParser),
    Values(ValueSplitter),
    Binary(EventStream),
}

impl Frames {
    pub(crate) fn new(max_event_bytes: usize) -> Self {
        Self { max_event_bytes, framing: None }
    }

    /// Passes each event that `bytes` complete to `found`.
    pub(crate) fn push(&mut self, bytes: &[u8], mut found: impl FnMut(Frame)) {
        let bytes = match self.framing {
            None => bytes.trim_ascii_start(),
            Some(_) => bytes,
        };
        let Some(first) = bytes.first() else { return };
        let max = self.max_event_bytes;
        let framing = self.framing.get_or_insert_with(|| match first {
            b'{' | b'[' => Framing::Values(ValueSplitter::new(max)),
            // The first byte of a length below 16 MiB, which is the most that a message may have.
            0 => Framing::Binary(EventStream::new(max)),
            _ => Framing::Sse(SseParser::new(max)),
        });
        match framing {
            Framing::Sse(parser) => {
                parser.push(bytes).into_iter().for_each(|event| found(frame(event)));
            }
            Framing::Values(splitter) => splitter.push(bytes, |value| found(value_frame(value))),
            Framing::Binary(messages) => messages.push(bytes, &mut found),
        }
    }

    /// Passes what the stream ended in to `found`. Returns the number of events that were too long.
    pub(crate) fn finish(&mut self, mut found: impl FnMut(Frame)) -> u64 {
        match &mut self.framing {
            None => 0,
            Some(Framing::Sse(parser)) => {
                parser.finish().into_iter().for_each(|event| found(frame(event)));
                parser.dropped()
            }
            Some(Framing::Values(splitter)) => {
                splitter.finish(|value| found(value_frame(value)));
                splitter.too_long()
            }
            Some(Framing::Binary(messages)) => messages.finish(&mut found),
        }
    }
}

fn frame(SseEvent { data, .. }: SseEvent) -> Frame {
    if data.trim() == "[DONE]" {
        return Frame::Done;
    }
    match json::parse(data.as_bytes()) {
        Ok(parsed) => Frame::Event(parsed.value),
        Err(_) => Frame::Invalid,
    }
}

fn value_frame(value: &[u8]) -> Frame {
    json::parse(value).map_or(Frame::Invalid, |parsed| Frame::Event(parsed.value))
}
