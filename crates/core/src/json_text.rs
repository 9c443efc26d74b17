//! JSON as text: Python's extensions of it are replaced without parsing a value.

/// `json` with `NaN` and infinities as `null` and escapes of lone surrogates as U+FFFD; `None` if it
/// contains none of them.
pub(crate) fn without_extensions(json: &[u8]) -> Option<Vec<u8>> {
    replace(json, Some(b"null"), true)
}

/// `json` with `replacement` for each `NaN` and infinity; `None` if it contains none.
#[must_use]
pub fn without_special_numbers(json: &[u8], replacement: &[u8]) -> Option<Vec<u8>> {
    replace(json, Some(replacement), false)
}

/// `json` with escapes of lone surrogates as U+FFFD; `None` if it contains none.
#[must_use]
pub fn without_lone_surrogates(json: &[u8]) -> Option<Vec<u8>> {
    replace(json, None, true)
}

/// Whether an integer in `json`, outside of strings, satisfies `condition`.
pub fn has_integer(json: &str, condition: impl Fn(&str) -> bool) -> bool {
    numbers(json).any(|(_, number)| !number.contains(['.', 'e', 'E']) && condition(number))
}

/// `json` with `replacement` for each number that satisfies `condition`; `None` if there is none.
#[must_use]
pub fn replace_numbers(
    json: &str,
    condition: impl Fn(&str) -> bool,
    replacement: &str,
) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    for (at, number) in numbers(json).filter(|(_, number)| condition(number)) {
        out += &json[copied..at];
        out += replacement;
        copied = at + number.len();
    }
    (copied > 0).then(|| out + &json[copied..])
}

/// The numbers of `json` with their offsets.
fn numbers(json: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = json.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
            match rest[0] {
                b'"' => at += string_end(rest),
                b'-' | b'0'..=b'9' => {
                    let ends =
                        |byte: &u8| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                    let start = at;
                    at += rest.iter().position(ends).unwrap_or(rest.len());
                    return Some((start, &json[start..at])); // ASCII
                }
                _ => at += 1,
            }
        }
    })
}

fn replace(json: &[u8], special: Option<&[u8]>, surrogates: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len());
    let mut changed = false;
    let mut at = 0;
    while at < json.len() {
        let rest = &json[at..];
        if rest[0] == b'"' {
            let end = string_end(rest);
            if surrogates {
                changed |= copy_string(&rest[..end], &mut out);
            } else {
                out.extend_from_slice(&rest[..end]);
            }
            at += end;
        } else if let (Some(special), Some(length)) = (special, special_number(rest)) {
            out.extend_from_slice(special);
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
pub(crate) fn string_end(rest: &[u8]) -> usize {
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
