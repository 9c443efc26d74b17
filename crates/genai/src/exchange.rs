//! One request and its response, as a proxy sees them.

use attestry_core::{Timestamp, metadata};

use crate::json;
use crate::provider::{Api, failed_with, request, response};
use crate::record::{CallRecord, Content, Side};
use crate::stream::{Fold, Frame, Frames};

/// A request to a provider and its response, whole or streamed.
///
/// A response that is streamed is folded as its bytes arrive: memory is bounded by the limits that
/// [`max_bytes`](Self::max_bytes) sets.
///
/// ```
/// use attestry_genai::{Api, Exchange};
///
/// let mut exchange = Exchange::new(Api::OpenAiChat);
/// exchange.request(br#"{"model": "gpt-4", "stream": true, "messages": [{"role": "user", "content": "2+2?"}]}"#);
/// exchange.status(200);
/// for chunk in [
///     "data: {\"id\":\"c-1\",\"model\":\"gpt-4-0613\",\"choices\":[{\"delta\":{\"content\":\"4\"}}]}\n\n",
///     "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
/// ] {
///     exchange.push(chunk.as_bytes());
/// }
/// let record = exchange.finish();
/// assert_eq!((record.model(), record.response_id()), (Some("gpt-4-0613"), Some("c-1")));
/// ```
pub struct Exchange {
    api: Api,
    record: CallRecord,
    max_bytes: usize,
    stream: Option<(Frames, Fold)>,
    /// Whether an event of the stream was not JSON.
    has_invalid: bool,
}

/// Of a response, and of one event of a stream, unless set otherwise.
const DEFAULT_MAX_BYTES: usize = 64 << 20;

impl Exchange {
    /// An exchange with the API `api`, whose provider is the API's own until [`provider`](Self::provider) names
    /// another one.
    #[must_use]
    pub fn new(api: Api) -> Self {
        let mut record = CallRecord::new("proxy");
        record.provider = Some(api.provider().to_owned());
        Self { api, record, max_bytes: DEFAULT_MAX_BYTES, stream: None, has_invalid: false }
    }

    /// Where the record comes from: `attestry.source`. Default: `proxy`.
    #[must_use]
    pub fn source(mut self, name: &str) -> Self {
        self.record.sources = [name.to_owned()].into();
        self
    }

    /// The provider, if it is another one with the same API.
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.record.provider = Some(name.into());
        self
    }

    /// When the request was sent.
    #[must_use]
    pub fn started(mut self, at: Timestamp) -> Self {
        self.record.started = Some(at);
        self
    }

    /// The bytes of a streamed response that are kept, and those of one event. Default: 64 MiB. An output that is longer
    /// is kept in part, and `attestry.truncated` says so.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Adds the body of the request. A body that is not JSON is kept as text.
    pub fn request(&mut self, body: &[u8]) {
        match json::parse(body) {
            Ok(parsed) => {
                self.mark_lossy(parsed.lossy, Side::Input);
                request(self.api, &mut self.record, parsed.value);
            }
            Err(_) => self.keep_text(Side::Input, body),
        }
    }

    /// Adds the status of the response. One of 400 or more is that of a failed call.
    pub fn status(&mut self, status: u16) {
        self.record.set(metadata::STATUS_CODE, Some(status));
        if status >= 400 {
            self.record.failed(status.to_string());
        }
    }

    /// Adds the whole body of a response that is not streamed.
    pub fn response(&mut self, body: &[u8]) {
        match json::parse(body) {
            Ok(parsed) => {
                self.mark_lossy(parsed.lossy, Side::Output);
                response(self.api, &mut self.record, parsed.value);
            }
            Err(_) => self.keep_text(Side::Output, body),
        }
    }

    /// Adds the next bytes of a streamed response: server-sent events, or JSON values in lines or in an array.
    pub fn push(&mut self, bytes: &[u8]) {
        let (api, max) = (self.api, self.max_bytes);
        let (frames, fold) =
            self.stream.get_or_insert_with(|| (Frames::new(max), Fold::new(api, max)));
        let has_invalid = &mut self.has_invalid;
        frames.push(bytes, |frame| apply(frame, fold, has_invalid));
    }

    /// What is known of the call: its request, its response, and how it ended. A stream that did not reach its end was
    /// cut off.
    #[must_use]
    pub fn finish(mut self) -> CallRecord {
        let Some((mut frames, mut fold)) = self.stream.take() else { return self.record };
        let mut has_invalid = self.has_invalid;
        let dropped = frames.finish(|frame| apply(frame, &mut fold, &mut has_invalid));
        let folded = fold.finish();
        self.record.set(metadata::STREAM, Some(true));
        response(self.api, &mut self.record, folded.body);
        match folded.error {
            Some(error) => failed_with(&mut self.record, error),
            None if !folded.is_complete
                && !self.record.metadata.contains_key(metadata::OUTCOME) =>
            {
                self.record.set(metadata::OUTCOME, Some(metadata::OUTCOME_CUT_OFF));
            }
            None => {}
        }
        if folded.left_out > 0 || dropped > 0 {
            self.record.truncated.insert("output");
        }
        self.mark_lossy(has_invalid, Side::Output);
        self.record
    }

    fn keep_text(&mut self, side: Side, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        self.mark_lossy(matches!(text, std::borrow::Cow::Owned(_)), side);
        self.record.set_content(side, Some(Content::Text(text.into_owned())));
    }

    fn mark_lossy(&mut self, is_lossy: bool, side: Side) {
        if is_lossy {
            self.record.lossy.insert(side.name());
        }
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("api", &self.api)
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

fn apply(frame: Frame, fold: &mut Fold, has_invalid: &mut bool) {
    match frame {
        Frame::Event(event) => fold.event(event),
        Frame::Done => fold.done(),
        Frame::Invalid => *has_invalid = true,
    }
}
