//! A streamed response of any API: where it is split does not matter. The first byte chooses the API, the second where the
//! stream is split.
#![no_main]

use attestry_genai::{Api, Exchange, UnmappedTexts, ValueSplitter};

const APIS: [Api; 6] = [
    Api::OpenAiChat,
    Api::OpenAiResponses,
    Api::AnthropicMessages,
    Api::Gemini,
    Api::OllamaChat,
    Api::BedrockInvoke,
];

fn folded(api: Api, chunks: &[&[u8]]) -> (String, String) {
    let mut exchange = Exchange::new(api).max_bytes(1 << 16);
    exchange.request(b"{}");
    chunks.iter().for_each(|chunk| exchange.push(chunk));
    let interaction = exchange.finish().into_interaction(UnmappedTexts::Hash);
    (interaction.input().to_owned(), interaction.output().to_owned())
}

fn split(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut splitter = ValueSplitter::new(1 << 16);
    let mut values = Vec::new();
    chunks.iter().for_each(|chunk| splitter.push(chunk, |value| values.push(value.to_vec())));
    splitter.finish(|value| values.push(value.to_vec()));
    values
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [first, second, stream @ ..] = input else { return };
    let api = APIS[usize::from(*first) % APIS.len()];
    let (a, b) = stream.split_at(usize::from(*second).min(stream.len()));
    assert_eq!(folded(api, &[stream]), folded(api, &[a, b]));
    assert_eq!(split(&[stream]), split(&[a, b]));
    // A body that is not streamed.
    let mut exchange = Exchange::new(api);
    exchange.request(stream);
    exchange.response(stream);
    drop(exchange.finish().into_interaction(UnmappedTexts::Keep));
});
