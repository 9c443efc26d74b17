//! One block of a message's content.

use attestry_logger::messages::{Part, PartKind};
use serde_json::{Map, Value};

use super::{content_parts, media, other};
use crate::json::{Fields, is_empty, structured};

/// The part that a block of any API is.
pub(crate) fn block(value: Value) -> Part {
    let mut original = match value {
        Value::Object(fields) => fields,
        value => return Part::other(value),
    };
    // What most blocks are.
    if original.len() == 2
        && original.get("type").is_some_and(|kind| kind == "text")
        && let Some(Value::String(text)) = original.get_mut("text")
    {
        return Part::text(std::mem::take(text));
    }
    let mut fields = Fields::new(Value::Object(original.clone()));
    let part = match fields.text("type") {
        Some(kind) => typed(&kind, &mut fields),
        None => untyped(&mut fields),
    };
    match part {
        Some(mut part) => {
            let rest = fields.rest();
            // A field that the part has itself would hide its own.
            let own = part.to_value();
            if rest.keys().any(|key| own.get(key).is_some()) {
                return other(original);
            }
            part.extra.extend(rest);
            part
        }
        None => other(original),
    }
}

/// A call of a tool. `arguments` may be JSON as text: it is parsed, so that both spellings give one hash.
pub(crate) fn tool_call_part(
    id: Option<String>,
    name: String,
    arguments: Option<Value>,
    extra: Map<String, Value>,
) -> Part {
    let arguments = arguments.map(structured);
    let mut part = Part::from(PartKind::ToolCall { id, name, arguments });
    part.extra = extra;
    part
}

/// Blocks of OpenAI, Anthropic and the Vercel AI SDK, which name their type.
fn typed(kind: &str, fields: &mut Fields) -> Option<Part> {
    Some(match kind {
        "text" | "input_text" | "output_text" | "summary_text" => Part::text(plain_text(fields)?),
        "thinking" | "reasoning" | "reasoning_text" => {
            Part::reasoning(fields.text("thinking").or_else(|| plain_text(fields))?)
        }
        "image_url" | "input_image" => image_url(fields)?,
        "image" | "document" => source(kind, fields)?,
        "input_audio" => {
            let mut audio = fields.fields("input_audio");
            let mime_type = audio.text("format").map(|format| format!("audio/{format}"));
            let part = media::blob("audio", mime_type.as_deref(), &audio.text("data")?);
            fields.put_rest("input_audio", audio);
            part
        }
        "file" | "input_file" => file(fields)?,
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            let (id, name) = (fields.text("id"), fields.text("name")?);
            if kind != "tool_use" {
                fields.put("kind", kind.into());
            }
            tool_call_part(id, name, fields.take("input"), Map::new())
        }
        "tool_result" => response(fields.text("tool_use_id"), fields.take("content")),
        "tool-call" => {
            let (id, name) = (fields.text("toolCallId"), fields.text("toolName")?);
            let arguments = fields.take("input").or_else(|| fields.take("args"));
            tool_call_part(id, name, arguments, Map::new())
        }
        "tool-result" => {
            let output = fields.take("output").or_else(|| fields.take("result"));
            response(fields.text("toolCallId"), output)
        }
        _ => return None,
    })
}

/// Blocks of Gemini and Bedrock Converse, in which the key is the type.
fn untyped(fields: &mut Fields) -> Option<Part> {
    if fields.get("text").is_string() {
        let is_thought = fields.boolean("thought") == Some(true);
        let text = fields.take("text").and_then(into_text)?;
        return Some(if is_thought { Part::reasoning(text) } else { Part::text(text) });
    }
    for key in ["functionCall", "function_call", "toolUse"] {
        if fields.has(key) {
            let mut call = fields.fields(key);
            let id = call.text("id").or_else(|| call.text("toolUseId"));
            let name = call.text("name")?;
            let arguments = call.take("args").or_else(|| call.take("input"));
            return Some(tool_call_part(id, name, arguments, call.rest()));
        }
    }
    for key in ["functionResponse", "function_response", "toolResult"] {
        if fields.has(key) {
            let mut result = fields.fields(key);
            let id = result.text("id").or_else(|| result.text("toolUseId"));
            let content = result.take("response").or_else(|| result.take("content"));
            let mut part = response(id, content);
            part.extra = result.rest();
            return Some(part);
        }
    }
    if fields.has("reasoningContent") {
        let mut reasoning = fields.fields("reasoningContent");
        let mut text = reasoning.fields("reasoningText");
        let part = Part::reasoning(text.text("text")?);
        fields.put_rest("reasoningText", text);
        fields.put_rest("reasoningContent", reasoning);
        return Some(part);
    }
    gemini_media(fields).or_else(|| converse_media(fields))
}

fn gemini_media(fields: &mut Fields) -> Option<Part> {
    for key in ["inlineData", "inline_data"] {
        if fields.has(key) {
            let mut data = fields.fields(key);
            let mime_type = data.text("mimeType").or_else(|| data.text("mime_type"));
            let modality = mime_type.as_deref().map_or("document", media::modality_of);
            let part = media::blob(modality, mime_type.as_deref(), &data.text("data")?);
            fields.put_rest(key, data);
            return Some(part);
        }
    }
    for key in ["fileData", "file_data"] {
        if fields.has(key) {
            let mut data = fields.fields(key);
            let mime_type = data.text("mimeType").or_else(|| data.text("mime_type"));
            let uri = data.text("fileUri").or_else(|| data.text("file_uri"))?;
            let modality = mime_type.as_deref().map_or("document", media::modality_of).to_owned();
            fields.put_rest(key, data);
            return Some(PartKind::Uri { modality, mime_type, uri }.into());
        }
    }
    None
}

/// `{"image": {"format", "source": {"bytes"}}}`, and the same of documents and videos.
fn converse_media(fields: &mut Fields) -> Option<Part> {
    let modality =
        ["image", "document", "video"].into_iter().find(|key| fields.get(key).is_object())?;
    let mut data = fields.fields(modality);
    let mut source = data.fields("source");
    let content = source.text("bytes")?;
    let main = if modality == "document" { "application" } else { modality };
    let mime_type = data.text("format").map(|format| format!("{main}/{format}"));
    data.put_rest("source", source);
    let mut part = media::blob(modality, mime_type.as_deref(), &content);
    part.extra = data.rest();
    Some(part)
}

fn plain_text(fields: &mut Fields) -> Option<String> {
    let text = fields.take("text").or_else(|| fields.take("content"))?;
    into_text(text)
}

fn into_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn response(id: Option<String>, content: Option<Value>) -> Part {
    PartKind::ToolCallResponse { id, response: response_value(content.unwrap_or_default()) }.into()
}

/// A result that is one text is that text: `"a"` and `[{"type": "text", "text": "a"}]` are one result.
fn response_value(content: Value) -> Value {
    if let Value::Array(blocks) = &content
        && let [only] = blocks.as_slice()
        && let Some(fields) = only.as_object()
        && fields.len() <= 2
        && let [Part { kind: PartKind::Text { content }, extra, .. }] =
            &content_parts(only.clone())[..]
        && extra.is_empty()
    {
        return content.as_str().into();
    }
    content
}

fn image_url(fields: &mut Fields) -> Option<Part> {
    if let Some(url) = fields.text("image_url") {
        return Some(media::at("image", &url));
    }
    if let Some(id) = fields.text("file_id") {
        return Some(media::file("image", None, id));
    }
    let mut image = fields.fields("image_url");
    let part = media::at("image", &image.text("url")?);
    fields.put_rest("image_url", image);
    Some(part)
}

/// An image or document of Anthropic, with a `source`; of the Vercel AI SDK, with the data in `image`.
fn source(kind: &str, fields: &mut Fields) -> Option<Part> {
    if let Some(image) = fields.text("image") {
        return Some(media::at("image", &image));
    }
    let mut source = fields.fields("source");
    let part = match source.text("type")?.as_str() {
        "url" => media::at(kind, &source.text("url")?),
        "base64" => {
            let mime_type = source.text("media_type");
            media::blob(kind, mime_type.as_deref(), &source.text("data")?)
        }
        "text" => {
            let mut part = Part::text(source.text("data")?);
            part.extra.insert("modality".to_owned(), kind.into());
            part
        }
        "file" => media::file(kind, None, source.text("file_id")?),
        _ => return None,
    };
    fields.put_rest("source", source);
    Some(part)
}

fn file(fields: &mut Fields) -> Option<Part> {
    let mut file = fields.fields("file");
    let mut take = |key: &str| file.text(key).or_else(|| fields.text(key));
    let mime_type = take("mediaType").or_else(|| take("mimeType"));
    let part = if let Some(id) = take("file_id") {
        media::file("document", mime_type, id)
    } else if let Some(url) = take("file_url").or_else(|| take("url")) {
        media::at("document", &url)
    } else {
        let data = take("file_data").or_else(|| take("data"))?;
        match mime_type {
            Some(mime_type) => media::blob(media::modality_of(&mime_type), Some(&mime_type), &data),
            None => media::at("document", &data),
        }
    };
    fields.put_rest("file", file);
    Some(part)
}

/// Whether a part says nothing.
pub(super) fn is_blank(part: &Part) -> bool {
    match &part.kind {
        PartKind::Text { content } | PartKind::Reasoning { content } => content.is_empty(),
        PartKind::Other { value } => is_empty(value),
        _ => false,
    }
}
