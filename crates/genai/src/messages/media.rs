//! Images, audio and files: by reference, or the bytes as base64.

use attestry_logger::messages::{Part, PartKind};
use serde_json::Value;

/// The media at `url`, or the media itself if it is a data URL.
pub(super) fn at(modality: &str, url: &str) -> Part {
    let data = url.strip_prefix("data:").and_then(|data| data.split_once(";base64,"));
    match data {
        Some((mime_type, content)) => blob(modality, Some(mime_type), content),
        None => {
            let (modality, uri) = (modality.to_owned(), url.to_owned());
            PartKind::Uri { modality, mime_type: None, uri }.into()
        }
    }
}

pub(super) fn blob(modality: &str, mime_type: Option<&str>, content: &str) -> Part {
    let (modality, mime_type) = (modality.to_owned(), mime_type.map(str::to_owned));
    PartKind::Blob { modality, mime_type, content: content.to_owned() }.into()
}

pub(super) fn file(modality: &str, mime_type: Option<String>, file_id: String) -> Part {
    PartKind::File { modality: modality.to_owned(), mime_type, file_id }.into()
}

/// An image of Ollama: base64 without a type.
pub(super) fn image(value: Value) -> Part {
    match value {
        Value::String(data) => blob("image", None, &data),
        value => Part::other(value),
    }
}

/// `image` of `image/png`.
pub(super) fn modality_of(mime_type: &str) -> &str {
    match mime_type.split('/').next() {
        Some(modality @ ("image" | "audio" | "video")) => modality,
        _ => "document",
    }
}
