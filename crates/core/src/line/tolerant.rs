//! Converts Python's extensions of JSON to JSON.

/// `line` with `NaN` and infinities as `null` and escapes of lone surrogates as U+FFFD; `None` if it
/// contains none of them.
pub(super) fn rewrite(line: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(line.len());
    let mut changed = false;
    let mut at = 0;
    while at < line.len() {
        let rest = &line[at..];
        if rest[0] == b'"' {
            let end = string_end(rest);
            changed |= copy_string(&rest[..end], &mut out);
            at += end;
        } else if let Some(length) = special_number(rest) {
            out.extend_from_slice(b"null");
            changed = true;
            at += length;
        } else {
            out.push(rest[0]);
            at += 1;
        }
    }
    changed.then_some(out)
}

fn special_number(rest: &[u8]) -> Option<usize> {
    ["NaN", "Infinity", "-Infinity"]
        .iter()
        .find(|name| rest.starts_with(name.as_bytes()))
        .map(|name| name.len())
}

/// The length of the string at the start of `rest`, including the quotes.
fn string_end(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Copies a string and replaces escapes of lone surrogates. Returns whether it contained any.
fn copy_string(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut changed = false;
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' {
            out.push(text[at]);
            at += 1;
            continue;
        }
        let length = match escaped_unit(&text[at..]) {
            Some(0xd800..=0xdbff)
                if matches!(escaped_unit(&text[at + 6..]), Some(0xdc00..=0xdfff)) =>
            {
                12
            }
            Some(0xd800..=0xdfff) => {
                out.extend_from_slice("\\ufffd".as_bytes());
                changed = true;
                at += 6;
                continue;
            }
            Some(_) => 6,
            None => 2,
        };
        let end = text.len().min(at + length);
        out.extend_from_slice(&text[at..end]);
        at = end;
    }
    changed
}

/// The UTF-16 unit that is escaped as `\uXXXX` at the start of `rest`.
fn escaped_unit(rest: &[u8]) -> Option<u16> {
    let digits = rest.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
