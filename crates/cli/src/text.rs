//! Messages on standard error, escaping, and formatting of numbers.

use std::fmt;
use std::io::{self, Write};

use attestry::Timestamp;

/// Prints a line to standard error. Errors are ignored: it may be closed.
pub(crate) fn stderr_line(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints a warning to standard error: in a server as a line of its log.
pub(crate) fn warning(line: &str) {
    #[cfg(feature = "serve")]
    if tracing::dispatcher::has_been_set() {
        tracing::warn!("{line}");
        return;
    }
    stderr_line(line);
}

/// `text` with control characters, and characters that reorder or hide others, escaped, so that stored
/// text cannot control the terminal.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if controls_terminal(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn controls_terminal(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// `4025` as `4,025`.
pub(crate) fn thousands(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How long before `now` a time was: `40 s`, `12 min`, `3 h` or `9 d`.
pub(crate) fn age(time: Timestamp, now: Timestamp) -> String {
    let seconds = (now.unix_micros() - time.unix_micros()).max(0) / 1_000_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `1 entry`, `2 entries`, `4,025 entries`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(escaped("日本 é 'x' \"y\""), "日本 é 'x' \"y\"");
    }

    #[test]
    fn numbers_have_thousands_separators() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567"), (-12, "-12")]
        {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(counted(1, "entry", "entries"), "1 entry");
        assert_eq!(counted(4025, "entry", "entries"), "4,025 entries");
    }
}
