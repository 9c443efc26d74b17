//! Images in messages. They are loaded from this server only, when they are asked for.

use attestry::messages::{Messages, PartKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::strings::content as strings;
use super::text::clipped;
use super::url;

/// A larger image is only named.
const MAX_BYTES: usize = 5 << 20;
/// Types that are pixels and nothing else: no SVG, which is a document.
const TYPES: [(&str, &[u8]); 4] = [
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
    ("image/webp", b"RIFF"),
];

/// Where the media of a text are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) id: &'a str,
    /// `input` or `output`.
    pub(super) side: &'static str,
}

/// Media in a message: named with its size; an image of a known type is shown on request.
pub(super) fn blob(
    modality: &str,
    mime_type: Option<&str>,
    bytes: usize,
    place: Place<'_>,
    (message, part): (usize, usize),
) -> Markup {
    let is_known = mime_type.is_some_and(|given| TYPES.iter().any(|(known, _)| *known == given));
    let path = format!("{}/media/{}/{message}/{part}", url::entry(place.id), place.side);
    html! {
        @if is_known && bytes <= MAX_BYTES {
            details {
                summary { (name(modality, mime_type, bytes)) }
                img.media loading="lazy" src=(path) alt=(strings::IMAGE_ALT);
            }
        } @else {
            p { (name(modality, mime_type, bytes)) }
        }
    }
}

fn name(modality: &str, mime_type: Option<&str>, bytes: usize) -> Markup {
    html! {
        (clipped(modality))
        @if let Some(mime_type) = mime_type { ", " (clipped(mime_type)) }
        ", " (strings::size(bytes))
    }
}

/// The type and the bytes of an image in `text`, which is messages.
pub(super) fn image(text: &str, message: usize, part: usize) -> Option<(&'static str, Vec<u8>)> {
    let messages = Messages::parse(text).ok()?;
    let part = messages.0.get(message)?.parts.get(part)?;
    let PartKind::Blob { mime_type, content, .. } = &part.kind else { return None };
    if content.len() / 4 * 3 > MAX_BYTES {
        return None;
    }
    let (media_type, start) =
        TYPES.iter().find(|(known, _)| Some(*known) == mime_type.as_deref())?;
    let bytes = STANDARD.decode(content).ok()?;
    bytes.starts_with(start).then_some((*media_type, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pixels_are_images() {
        let messages = |media_type: &str, bytes: &[u8]| {
            let content = STANDARD.encode(bytes);
            serde_json::json!([{ "role": "user", "parts": [
                { "type": "blob", "modality": "image", "mime_type": media_type, "content": content }
            ] }])
            .to_string()
        };
        let png = b"\x89PNG\r\n\x1a\nrest";
        assert_eq!(image(&messages("image/png", png), 0, 0), Some(("image/png", png.to_vec())));
        for (media_type, bytes) in [
            ("image/svg+xml", &b"<svg onload='alert(1)'/>"[..]),
            ("image/png", b"<html>"),
            ("text/html", b"<script>"),
            ("image/png; charset=x", png),
        ] {
            assert_eq!(image(&messages(media_type, bytes), 0, 0), None, "{media_type}");
        }
        assert_eq!(image(&messages("image/png", png), 0, 1), None);
        assert_eq!(image(&messages("image/png", png), 1, 0), None);
        assert_eq!(image("[]", 0, 0), None);
        assert_eq!(image("not json", 0, 0), None);
    }
}
