//! The binary framing of Amazon Bedrock's streams: `application/vnd.amazon.eventstream`.
//!
//! A message is its length and that of its headers (big-endian `u32`), the CRC-32 of these eight bytes, the headers,
//! the payload, and the CRC-32 of everything before.
//! Source: <https://smithy.io/2.0/aws/amazon-eventstream.html>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::frame::Frame;
use crate::json;

/// Two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;

/// The checksum of the message.
const CRC_BYTES: usize = 4;

/// Splits a stream into its messages and turns each into the event that other framings have. Where the bytes are split
/// does not matter. Memory is bounded by `max_message_bytes`: a message that is longer is skipped and counted.
pub(super) struct EventStream {
    max_message_bytes: usize,
    buffer: Vec<u8>,
    /// Bytes of a message that is too long, still to come.
    skipping: usize,
    too_long: u64,
    /// Whether a checksum or length was wrong: nothing after it can be split.
    is_damaged: bool,
}

impl EventStream {
    pub(super) fn new(max_message_bytes: usize) -> Self {
        let buffer = Vec::new();
        Self { max_message_bytes, buffer, skipping: 0, too_long: 0, is_damaged: false }
    }

    /// Passes each event that `bytes` complete to `found`.
    pub(super) fn push(&mut self, mut bytes: &[u8], found: &mut impl FnMut(Frame)) {
        while !bytes.is_empty() && !self.is_damaged {
            let skipped = self.skipping.min(bytes.len());
            self.skipping -= skipped;
            bytes = &bytes[skipped..];
            // Not more than one message, so that the buffer is never shifted.
            let wanted = self.wanted().saturating_sub(self.buffer.len()).min(bytes.len());
            self.buffer.extend_from_slice(&bytes[..wanted]);
            bytes = &bytes[wanted..];
            self.take_message(found);
        }
    }

    /// The length of the message in the buffer, or of its prelude while that is not known.
    fn wanted(&self) -> usize {
        match Prelude::read(&self.buffer) {
            Some(prelude) => prelude.message,
            None => PRELUDE_BYTES,
        }
    }

    fn take_message(&mut self, found: &mut impl FnMut(Frame)) {
        let Some(prelude) = Prelude::read(&self.buffer) else { return };
        if !prelude.is_valid {
            self.is_damaged = true;
            self.buffer = Vec::new();
            found(Frame::Invalid);
        } else if prelude.message > self.max_message_bytes {
            self.too_long += 1;
            self.skipping = prelude.message - self.buffer.len();
            self.buffer.clear();
        } else if self.buffer.len() == prelude.message {
            match event(&self.buffer, prelude) {
                Some(frame) => found(frame),
                None => found(Frame::Invalid),
            }
            self.buffer.clear();
            self.buffer.shrink_to(1 << 20);
        }
    }

    /// Passes what the stream ended in to `found`. Returns the number of messages that were too long.
    pub(super) fn finish(&mut self, found: &mut impl FnMut(Frame)) -> u64 {
        if !self.buffer.is_empty() {
            self.buffer = Vec::new();
            found(Frame::Invalid);
        }
        self.too_long
    }
}

/// The lengths of a message in bytes.
#[derive(Clone, Copy)]
struct Prelude {
    message: usize,
    headers: usize,
    /// Whether its checksum holds and the lengths are possible.
    is_valid: bool,
}

impl Prelude {
    /// `None` until all its bytes are there.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (message, headers) = (u32_at(bytes, 0)? as usize, u32_at(bytes, 4)? as usize);
        let is_intact = u32_at(bytes, 8)? == crc32fast::hash(&bytes[..8]);
        let needed = headers.checked_add(PRELUDE_BYTES + CRC_BYTES);
        let is_valid = is_intact && needed.is_some_and(|needed| needed <= message);
        Some(Self { message, headers, is_valid })
    }
}

/// The event in a whole message; `None` if it is damaged or not JSON.
fn event(message: &[u8], prelude: Prelude) -> Option<Frame> {
    let (content, crc) = message.split_last_chunk::<CRC_BYTES>()?;
    if u32::from_be_bytes(*crc) != crc32fast::hash(content) {
        return None;
    }
    let (headers, payload) = content.get(PRELUDE_BYTES..)?.split_at_checked(prelude.headers)?;
    let headers = Headers::read(headers)?;
    let payload = || match payload {
        [] => Some(Value::Null),
        payload => json::parse(payload).ok().map(|parsed| parsed.value),
    };
    let error = |kind: Option<&str>, message: Value| {
        let kind = kind.unwrap_or("error");
        Some(Frame::Event(json!({"error": {"type": kind, "message": message}})))
    };
    match headers.message_type {
        Some("exception") => error(
            headers.exception_type,
            payload()
                .and_then(|mut body| body.get_mut("message").map(Value::take))
                .unwrap_or_default(),
        ),
        Some("error") => error(headers.error_code, headers.error_message.into()),
        _ => named(headers.event_type?, payload()?),
    }
}

/// `{"contentBlockDelta": {...}}` of ConverseStream; of InvokeModelWithResponseStream, the chunk of the model's own
/// API.
fn named(name: &str, mut payload: Value) -> Option<Frame> {
    if let Value::Object(fields) = &mut payload {
        // Padding of random length, against guesses from the sizes of messages.
        fields.shift_remove("p");
    }
    if name == "chunk" {
        let bytes = STANDARD.decode(payload["bytes"].as_str()?).ok()?;
        return json::parse(&bytes).ok().map(|parsed| Frame::Event(parsed.value));
    }
    Some(Frame::Event(json!({ name: payload })))
}

/// The headers that say what a message is.
#[derive(Default)]
struct Headers<'a> {
    message_type: Option<&'a str>,
    event_type: Option<&'a str>,
    exception_type: Option<&'a str>,
    error_code: Option<&'a str>,
    error_message: Option<&'a str>,
}

impl<'a> Headers<'a> {
    /// `None` if they are not headers.
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut headers = Self::default();
        while let Some((length, rest)) = bytes.split_first() {
            let (name, rest) = rest.split_at_checked(usize::from(*length))?;
            let (kind, rest) = rest.split_first()?;
            let (value, rest) = rest.split_at_checked(value_length(*kind, rest)?)?;
            bytes = rest;
            let text = || str::from_utf8(value.get(2..)?).ok();
            match name {
                b":message-type" => headers.message_type = text(),
                b":event-type" => headers.event_type = text(),
                b":exception-type" => headers.exception_type = text(),
                b":error-code" => headers.error_code = text(),
                b":error-message" => headers.error_message = text(),
                _ => {}
            }
        }
        Some(headers)
    }
}

/// The length of a value in bytes, with the length before it if it has one.
fn value_length(kind: u8, bytes: &[u8]) -> Option<usize> {
    match kind {
        // True and false have no bytes; integers have one, two, four and eight.
        0 | 1 => Some(0),
        2 => Some(1),
        3 => Some(2),
        4 => Some(4),
        // A time, too.
        5 | 8 => Some(8),
        // Bytes and text.
        6 | 7 => Some(2 + usize::from(u16::from_be_bytes(*bytes.first_chunk()?))),
        // A UUID.
        9 => Some(16),
        _ => None,
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
