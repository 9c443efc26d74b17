//! Tokens. `input_tokens` includes cached tokens and `output_tokens` those of reasoning, as in the conventions;
//! some APIs count them apart.

use attestry_core::metadata;

use crate::json::Fields;
use crate::record::CallRecord;

/// `usage` of the OpenAI APIs, of either naming.
pub(crate) fn openai(record: &mut CallRecord, mut usage: Fields) -> Fields {
    for (prompt, completion) in
        [("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")]
    {
        let input = usage.integer(prompt);
        let output = usage.integer(completion);
        record.input_tokens = record.input_tokens.or(input);
        record.output_tokens = record.output_tokens.or(output);
    }
    for key in ["prompt_tokens_details", "input_tokens_details"] {
        let mut details = usage.fields(key);
        record.set_integer(metadata::CACHE_READ_TOKENS, &mut details, "cached_tokens");
        for key in ["cache_creation_tokens", "cache_write_tokens"] {
            record.set_integer(metadata::CACHE_WRITE_TOKENS, &mut details, key);
        }
        usage.put_rest(key, details);
    }
    for key in ["completion_tokens_details", "output_tokens_details"] {
        let mut details = usage.fields(key);
        record.set_integer(metadata::REASONING_TOKENS, &mut details, "reasoning_tokens");
        usage.put_rest(key, details);
    }
    drop_total(record, &mut usage, "total_tokens");
    usage
}

/// `usage` of Anthropic: its `input_tokens` exclude those read from and written to the cache.
pub(crate) fn anthropic(record: &mut CallRecord, mut usage: Fields) -> Fields {
    let read = usage.integer("cache_read_input_tokens");
    let written = usage.integer("cache_creation_input_tokens");
    let input = usage.integer("input_tokens");
    record.input_tokens = input.map(|n| sum([Some(n), read, written]));
    record.output_tokens = usage.integer("output_tokens");
    record.set(metadata::CACHE_READ_TOKENS, read);
    record.set(metadata::CACHE_WRITE_TOKENS, written);
    usage
}

/// `usageMetadata` of Gemini: the tokens of the answer exclude those of thinking.
pub(crate) fn gemini(record: &mut CallRecord, mut usage: Fields) -> Fields {
    let thoughts = usage.integer("thoughtsTokenCount");
    let candidates = usage.integer("candidatesTokenCount");
    let tool_use = usage.integer("toolUsePromptTokenCount");
    record.input_tokens = usage.integer("promptTokenCount").map(|n| sum([Some(n), tool_use]));
    record.output_tokens =
        (candidates.is_some() || thoughts.is_some()).then(|| sum([candidates, thoughts]));
    record.set_integer(metadata::CACHE_READ_TOKENS, &mut usage, "cachedContentTokenCount");
    record.set(metadata::REASONING_TOKENS, thoughts);
    drop_total(record, &mut usage, "totalTokenCount");
    usage
}

/// `usage` of Converse: the total tells whether `inputTokens` includes cached tokens.
pub(crate) fn converse(record: &mut CallRecord, mut usage: Fields) -> Fields {
    let (input, output) = (usage.integer("inputTokens"), usage.integer("outputTokens"));
    let read =
        usage.integer("cacheReadInputTokens").or_else(|| usage.integer("cacheReadInputTokenCount"));
    let written = usage
        .integer("cacheWriteInputTokens")
        .or_else(|| usage.integer("cacheWriteInputTokenCount"));
    let is_included =
        usage.integer("totalTokens").is_some_and(|total| total == sum([input, output]));
    record.input_tokens = match is_included {
        true => input,
        false => input.map(|n| sum([Some(n), read, written])),
    };
    record.output_tokens = output;
    record.set(metadata::CACHE_READ_TOKENS, read.filter(|n| *n > 0));
    record.set(metadata::CACHE_WRITE_TOKENS, written.filter(|n| *n > 0));
    usage
}

/// A total that is the sum of both says nothing.
fn drop_total(record: &CallRecord, usage: &mut Fields, key: &str) {
    let Some(total) = usage.integer(key) else { return };
    if total != sum([record.input_tokens, record.output_tokens]) {
        usage.put(key, total.into());
    }
}

fn sum<const N: usize>(counts: [Option<i64>; N]) -> i64 {
    counts.into_iter().flatten().fold(0, i64::saturating_add)
}
