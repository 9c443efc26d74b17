//! Formats of providers, gateways and telemetry become [interactions](attestry_logger::Interaction).
//!
//! All knowledge about other programs' formats is in this crate. It is pure: it does no I/O and reads no clock, so the
//! importer, a server and a proxy use the same code.
//!
//! * [`decode`]: records of exports, logs and telemetry ([`Format`]) become [`CallRecord`]s.
//! * [`Joiner`] and [`JoinTable`]: join the records of one call.
//! * [`Exchange`]: the bodies of a request and its response, or its stream, become a [`CallRecord`] ([`Api`]).
//! * [`CallRecord::into_interaction`]: what is logged, with an id that depends only on the call.
//!
//! Nothing is dropped: what has no field of an entry is in its metadata, and what has no name there is in
//! `attestry.other`.

mod decoded;
mod error;
mod exchange;
mod export;
mod format;
mod interaction;
mod join;
mod json;
mod lenient;
mod merge;
mod messages;
mod object;
mod portable;
mod provider;
mod record;
mod stream;
mod telemetry;
mod time;

pub use decoded::{Decoded, UnknownSpans};
pub use error::RecordError;
pub use exchange::Exchange;
pub use export::{decode, decode_with};
pub use format::{Format, UnknownFormat};
pub use interaction::UnmappedTexts;
pub use join::{JoinKey, JoinTable, JoinedCall, Joiner};
pub use lenient::{InvalidInteraction, canonical_content, interaction_from_json};
pub use messages::messages_from_json;
pub use provider::Api;
pub use record::CallRecord;
pub use stream::{SseEvent, SseParser, ValueSplitter};
#[cfg(feature = "otlp")]
pub use telemetry::{decode_logs, decode_traces};
pub use time::timestamp_from_number;
