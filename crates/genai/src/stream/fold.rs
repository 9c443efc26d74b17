//! Folds the events of a stream into one body.

use serde_json::Value;

use super::accumulate::Budget;
use super::{anthropic, chat, converse, gemini, ollama, responses};
use crate::provider::Api;

/// A stream that is being folded.
pub(crate) struct Fold {
    events: Events,
    budget: Budget,
    error: Option<Value>,
}

enum Events {
    Chat(chat::Chat),
    Responses(responses::Responses),
    Anthropic(anthropic::Anthropic),
    Gemini(gemini::Gemini),
    Ollama(ollama::Ollama),
    Converse(converse::Converse),
    /// Of Bedrock's InvokeModel: the first event tells which one it is.
    Unknown,
}

/// The body that a stream was folded into.
pub(crate) struct Folded {
    pub(crate) body: Value,
    /// Whether the stream reached its end.
    pub(crate) is_complete: bool,
    /// The error that ended it.
    pub(crate) error: Option<Value>,
    /// Bytes that were left out because the body was too long.
    pub(crate) left_out: u64,
}

impl Fold {
    /// For a stream of `api`, whose body has at most about `max_bytes`.
    pub(crate) fn new(api: Api, max_bytes: usize) -> Self {
        let events = match api {
            Api::OpenAiChat | Api::OpenAiCompletions | Api::OpenAiEmbeddings => {
                Events::Chat(chat::Chat::default())
            }
            Api::OpenAiResponses => Events::Responses(responses::Responses::default()),
            Api::AnthropicMessages => Events::Anthropic(anthropic::Anthropic::default()),
            Api::Gemini => Events::Gemini(gemini::Gemini::default()),
            Api::OllamaChat | Api::OllamaGenerate => Events::Ollama(ollama::Ollama::default()),
            Api::BedrockConverse => Events::Converse(converse::Converse::default()),
            Api::BedrockInvoke => Events::Unknown,
        };
        Self { events, budget: Budget::new(max_bytes), error: None }
    }

    /// The next event.
    pub(crate) fn event(&mut self, event: Value) {
        if self.error.is_none() && !event["error"].is_null() && !event["response"].is_object() {
            self.error = Some(event["error"].clone());
            return;
        }
        if matches!(self.events, Events::Unknown) {
            self.events = recognised(&event);
        }
        let budget = &mut self.budget;
        match &mut self.events {
            Events::Chat(fold) => fold.event(event, budget),
            Events::Responses(fold) => fold.event(event, budget),
            Events::Anthropic(fold) => fold.event(event, budget),
            Events::Gemini(fold) => fold.event(event, budget),
            Events::Ollama(fold) => fold.event(event, budget),
            Events::Converse(fold) => fold.event(event, budget),
            Events::Unknown => {}
        }
    }

    /// `[DONE]`.
    pub(crate) fn done(&mut self) {
        if let Events::Chat(fold) = &mut self.events {
            fold.done();
        }
    }

    pub(crate) fn finish(self) -> Folded {
        let (body, is_complete) = match self.events {
            Events::Chat(fold) => fold.finish(),
            Events::Responses(fold) => fold.finish(),
            Events::Anthropic(fold) => fold.finish(),
            Events::Gemini(fold) => fold.finish(),
            Events::Ollama(fold) => fold.finish(),
            Events::Converse(fold) => fold.finish(),
            Events::Unknown => (Value::Null, false),
        };
        Folded { body, is_complete, error: self.error, left_out: self.budget.left_out }
    }
}

fn recognised(event: &Value) -> Events {
    if event["type"].is_string() {
        Events::Anthropic(anthropic::Anthropic::default())
    } else if event["choices"].is_array() {
        Events::Chat(chat::Chat::default())
    } else if event
        .as_object()
        .is_some_and(|fields| fields.keys().any(|key| converse::is_event(key)))
    {
        Events::Converse(converse::Converse::default())
    } else {
        // Text in a field of each chunk, as Ollama's API has it.
        Events::Ollama(ollama::Ollama::default())
    }
}
