//! Texts of models and users on a page: escaped, and with the characters visible that a browser would hide or obey.

use std::borrow::Cow;

use attestry::Timestamp;
use maud::{Markup, Render, html};

/// `text` for a page: escaped; controls and invisible characters are shown by name.
pub(super) fn text(text: &str) -> Text<'_> {
    Text(text)
}

/// A short text, cut where it is long. Its direction does not reach what is around it.
pub(super) fn clipped(given: &str) -> Markup {
    const LIMIT: usize = 120;
    const WRITTEN: usize = 480;
    let (start, is_whole) = cut_written(given, LIMIT, WRITTEN);
    // A link around it needs a name.
    let shown = if given.is_empty() { "\"\"" } else { start };
    html! { bdi { (Text(shown)) @if !is_whole { "…" } } }
}

/// At most `limit` bytes of `text`, and whether that is all.
pub(super) fn cut(text: &str, limit: usize) -> (&str, bool) {
    if text.len() <= limit {
        return (text, true);
    }
    (&text[..text.floor_char_boundary(limit)], false)
}

/// [`cut`], to at most `written` bytes of markup, too: of a hidden character there are many.
pub(super) fn cut_written(given: &str, limit: usize, written: usize) -> (&str, bool) {
    let (start, is_whole) = cut(given, limit);
    let mut left = written;
    for (at, character) in start.char_indices() {
        let bytes = Text(character.encode_utf8(&mut [0; 4])).written();
        if bytes > left {
            return (&start[..at], false);
        }
        left -= bytes;
    }
    (start, is_whole)
}

/// `given` as a unit of its own: its direction does not reach what is around it.
pub(super) fn isolated(given: &str) -> Markup {
    html! { bdi { (Text(given)) } }
}

/// A time, which the script can show in the zone of the browser.
pub(super) fn time(time: Timestamp) -> Markup {
    let utc = time.to_string();
    html! { time datetime={ (utc) "Z" } { (utc.replace('T', " ")) } }
}

/// A text that is shown as it is, never interpreted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(&'a str);

impl Text<'_> {
    /// How many bytes it becomes.
    pub(super) fn written(self) -> usize {
        match self.0 {
            // Most texts are letters.
            text if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ') => {
                text.len()
            }
            _ => {
                let mut buffer = String::new();
                self.render_to(&mut buffer);
                buffer.len()
            }
        }
    }
}

impl Render for Text<'_> {
    fn render_to(&self, buffer: &mut String) {
        for piece in pieces(self.0) {
            match piece {
                Piece::Shown(text) => text.render_to(buffer),
                Piece::Hidden(name) => html! { span.hidden-character { (name) } }.render_to(buffer),
            }
        }
    }
}

/// The start of a text where no markup can be, as in a title; hidden characters are shown by name there, too.
pub(super) fn named(text: &str) -> String {
    const LIMIT: usize = 200;
    let (start, is_whole) = cut(text, LIMIT);
    let mut shown: String = pieces(start)
        .into_iter()
        .map(|piece| match piece {
            Piece::Shown(text) => Cow::Borrowed(text),
            Piece::Hidden(name) => Cow::Owned(format!("[{name}]")),
        })
        .collect();
    shown.push_str(if is_whole { "" } else { "…" });
    shown
}

enum Piece<'a> {
    Shown(&'a str),
    /// The name of a character that would not be seen.
    Hidden(String),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut start, mut before) = (Vec::new(), 0, None);
    for (at, character) in text.char_indices() {
        // One selector chooses the form of the character before it. More of them choose nothing.
        let is_extra = is_selector(character) && before.is_none_or(is_selector);
        if is_hidden(character) || is_extra {
            pieces.push(Piece::Shown(&text[start..at]));
            pieces.push(Piece::Hidden(format!("U+{:04X}", u32::from(character))));
            start = at + character.len_utf8();
        }
        before = Some(character);
    }
    pieces.push(Piece::Shown(&text[start..]));
    pieces
}

/// A variation selector that scripts and emoji need.
fn is_selector(character: char) -> bool {
    matches!(character, '\u{FE00}'..='\u{FE0F}')
}

/// Whether a browser would not show the character, or let it change how others are shown. Joiners that scripts
/// and emoji need are left alone.
fn is_hidden(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Soft hyphen, marks and overrides of direction, spaces without width, line separators, annotations, a byte
        // order mark, and the invisible copies of letters (tags, selectors) that hide instructions.
        '\u{AD}'
        | '\u{34F}'
        | '\u{61C}'
        | '\u{115F}'..='\u{1160}'
        | '\u{17B4}'..='\u{17B5}'
        | '\u{180E}'
        | '\u{200B}'
        | '\u{200E}'..='\u{200F}'
        | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{3164}'
        | '\u{FEFF}'
        | '\u{FFA0}'
        | '\u{FFF9}'..='\u{FFFB}'
        | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}' => true,
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(given: &str) -> String {
        html! { (text(given)) }.into_string()
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(shown("<b>&\"'</b>\n"), "&lt;b&gt;&amp;&quot;'&lt;/b&gt;\n");
        let attribute = html! { p title=("\" onclick=\"x") {} }.into_string();
        assert_eq!(attribute, "<p title=\"&quot; onclick=&quot;x\"></p>");
    }

    #[test]
    fn hidden_characters_are_named() {
        for (hidden, name) in [
            ("\0", "U+0000"),
            ("\u{1b}", "U+001B"),
            ("\r", "U+000D"),
            ("\u{7f}", "U+007F"),
            ("\u{85}", "U+0085"),
            ("\u{202e}", "U+202E"),
            ("\u{2066}", "U+2066"),
            ("\u{200b}", "U+200B"),
            ("\u{feff}", "U+FEFF"),
            ("\u{e0041}", "U+E0041"),
            ("\u{34f}", "U+034F"),
            ("\u{115f}", "U+115F"),
            ("\u{1160}", "U+1160"),
            ("\u{17b4}", "U+17B4"),
            ("\u{3164}", "U+3164"),
            ("\u{ffa0}", "U+FFA0"),
            ("\u{1d173}", "U+1D173"),
        ] {
            let expected = format!("a<span class=\"hidden-character\">{name}</span>b");
            assert_eq!(shown(&format!("a{hidden}b")), expected);
        }
        for kept in ["tab\tline\n", "👩\u{200d}🚀", "می\u{200c}خواهم", "é ü 漢", "❤\u{fe0f}x"]
        {
            assert_eq!(shown(kept), kept);
        }
        // Selectors of no character can carry a text.
        let name = |name: &str| format!("<span class=\"hidden-character\">{name}</span>");
        assert_eq!(shown("\u{fe01}a"), format!("{}a", name("U+FE01")));
        let run = format!("a\u{fe0f}{}{}b", name("U+FE01"), name("U+FE02"));
        assert_eq!(shown("a\u{fe0f}\u{fe01}\u{fe02}b"), run);
    }

    #[test]
    fn titles_have_names_without_markup() {
        assert_eq!(named("a\u{202e}b"), "a[U+202E]b");
        assert_eq!(named("<b>"), "<b>");
        assert_eq!(named(&"a".repeat(300)), "a".repeat(200) + "…");
    }
}
