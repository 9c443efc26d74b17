//! Streamed responses: from bytes to events, and from events to the body that the API would have sent without
//! streaming.

mod accumulate;
mod anthropic;
mod chat;
mod converse;
mod event_stream;
mod fold;
mod frame;
mod frames;
mod gemini;
mod ollama;
mod responses;
mod sse;
mod values;

pub(crate) use self::fold::Fold;
pub(crate) use self::frame::Frame;
pub(crate) use self::frames::Frames;
pub use self::sse::{SseEvent, SseParser};
pub use self::values::ValueSplitter;
