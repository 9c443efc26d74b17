//! Texts of models and users on a page: escaped, and with the characters visible that a browser would hide or obey.

use attestry::Timestamp;
use maud::{Markup, PreEscaped, Render, html};

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
        let mut rest = self.0;
        while let Some(at) = rest.find(is_hidden) {
            let (before, from) = rest.split_at(at);
            before.render_to(buffer);
            let mut characters = from.chars();
            let Some(character) = characters.next() else { break };
            mark(character).render_to(buffer);
            rest = characters.as_str();
        }
        rest.render_to(buffer);
    }
}

fn mark(character: char) -> PreEscaped<String> {
    html! { span.hidden-character { (format!("U+{:04X}", u32::from(character))) } }
}

/// Whether a browser would not show the character, or let it change how others are shown. Joiners and variation
/// selectors that scripts and emoji need are left alone.
fn is_hidden(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Soft hyphen, marks and overrides of direction, spaces without width, line separators, annotations, a byte
        // order mark, and the invisible copies of letters (tags, selectors) that hide instructions.
        '\u{AD}'
        | '\u{61C}'
        | '\u{180E}'
        | '\u{200B}'
        | '\u{200E}'..='\u{200F}'
        | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}'
        | '\u{FFF9}'..='\u{FFFB}'
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
        ] {
            let expected = format!("a<span class=\"hidden-character\">{name}</span>b");
            assert_eq!(shown(&format!("a{hidden}b")), expected);
        }
        for kept in ["tab\tline\n", "👩\u{200d}🚀", "می\u{200c}خواهم", "é ü 漢"] {
            assert_eq!(shown(kept), kept);
        }
    }
}
