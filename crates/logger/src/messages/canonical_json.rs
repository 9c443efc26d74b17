//! JSON values as canonical text (RFC 8785), without loss.

use std::io;

use attestry_core::{DecodeError, json_text, metadata};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::ser::Formatter;
use thiserror::Error;

/// Why a text or value is not the structured content that it should be. Messages quote no content.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidContent {
    /// It is not JSON, or a key occurs twice.
    #[error(transparent)]
    Json(DecodeError),
    /// An integer cannot be represented by RFC 8785.
    #[error("an integer in JSON content has more than 53 bits; write it as text")]
    InexactInteger,
    /// It is JSON, but not a list of messages.
    #[error("expected a list of messages with `role` and `parts`{}", at(*index))]
    NotMessages {
        /// The first value of the list that is no message, counted from 0; `None` if it is no list.
        index: Option<usize>,
    },
}

fn at(index: Option<usize>) -> String {
    index.map(|index| format!(", but item {index} is something else")).unwrap_or_default()
}

/// Parses a JSON value that has a canonical form.
///
/// # Errors
///
/// [`InvalidContent::Json`] if it is not JSON or a key occurs twice; [`InvalidContent::InexactInteger`]
/// if an integer has more than 53 bits.
pub fn parse(json: &str) -> Result<Value, InvalidContent> {
    if json_text::has_integer(json, |integer| !is_exact_integer(integer)) {
        return Err(InvalidContent::InexactInteger);
    }
    metadata::value_from_json(json).map_err(InvalidContent::Json)
}

/// The canonical text of `value`.
///
/// ```
/// use attestry_logger::messages::canonical_json;
///
/// let value = canonical_json::parse(r#"{ "b": 1.0, "a": "\u00e9" }"#)?;
/// assert_eq!(canonical_json::to_string(&value)?, r#"{"a":"é","b":1}"#);
/// # Ok::<(), attestry_logger::messages::InvalidContent>(())
/// ```
///
/// # Errors
///
/// [`InvalidContent::InexactInteger`].
pub fn to_string(value: &Value) -> Result<String, InvalidContent> {
    if is_exact(value) { Ok(write(&Canonical(value))) } else { Err(InvalidContent::InexactInteger) }
}

/// The canonical text of a value whose `Serialize` sorts the keys of objects, as that of [`Canonical`] does.
pub(crate) fn write(value: &impl Serialize) -> String {
    write_sized(value, 256)
}

/// [`write`] of a text of about `size` bytes.
pub(super) fn write_sized(value: &impl Serialize, size: usize) -> String {
    let mut text = Vec::with_capacity(size);
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, EcmaNumbers);
    // Writing to memory fails only for keys that are not text, and every key here is text.
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok());
    String::from_utf8(text).unwrap_or_default() // JSON is UTF-8
}

/// Serializes objects with sorted keys, and numbers as doubles.
pub(crate) struct Canonical<'a>(pub(crate) &'a Value);

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            // `f64` holds the values of all others, some of them rounded.
            Value::Number(number) => serializer.serialize_f64(number.as_f64().unwrap_or_default()),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Canonical)),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| (key.as_str(), Canonical(value)));
                serializer.collect_map(sorted(fields))
            }
            value => value.serialize(serializer),
        }
    }
}

/// Fields in the order of the UTF-16 units of their keys.
pub(super) fn sorted<'a, T>(
    fields: impl Iterator<Item = (&'a str, T)>,
) -> impl Iterator<Item = (&'a str, T)> {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_unstable_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    fields.into_iter()
}

/// Numbers as ECMAScript writes them; texts and separators of `serde_json` are those of RFC 8785.
struct EcmaNumbers;

impl Formatter for EcmaNumbers {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(ryu_js::Buffer::new().format_finite(value).as_bytes())
    }
}

/// Whether each integer of `value` is exact as a double.
pub(super) fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64() || is_exact_integer(&number.to_string()),
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(fields) => fields.values().all(is_exact),
        _ => true,
    }
}

/// Whether a double has these digits. Those of up to 53 bits have, and others: the canonical text of a
/// double may be a longer integer.
fn is_exact_integer(integer: &str) -> bool {
    let digits = integer.trim_start_matches('-');
    // Below 10^15.
    digits.len() <= 15 || digits.parse::<f64>().is_ok_and(|double| double.to_string() == digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_of(json: &str) -> String {
        to_string(&serde_json::from_str(json).unwrap()).unwrap()
    }

    // RFC 8785, sections 3.2.2 to 3.2.4 and appendix B.
    #[test]
    fn canonical_form_matches_the_vectors_of_rfc_8785() {
        let example = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        assert_eq!(
            canonical_of(example),
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        let keys = r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
            "\u00f6": "Latin Small Letter O With Diaeresis"}"#;
        assert_eq!(
            canonical_of(keys),
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With \
             Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With \
             Dagesh\"}"
        );
        for (bits, text) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            let number = Value::from(f64::from_bits(bits));
            assert_eq!(to_string(&number).unwrap(), text, "{bits:x}");
        }
    }

    #[test]
    fn values_that_would_change_are_refused() {
        let exact = r#"[-9007199254740992,9007199254740994,812717768041587300,"9007199254740993"]"#;
        assert_eq!(to_string(&parse(exact).unwrap()).unwrap(), exact);
        for json in ["[9007199254740993]", "{\"a\":-9007199254740993}", "[99999999999999999999]"] {
            assert_eq!(parse(json), Err(InvalidContent::InexactInteger), "{json}");
        }
        for value in [Value::from(i64::MAX), [(1_u64 << 53) + 1].as_slice().into()] {
            assert_eq!(to_string(&value), Err(InvalidContent::InexactInteger), "{value}");
        }
        let repeated = parse(r#"{"a":1,"a":2}"#).unwrap_err();
        assert!(repeated.to_string().contains("`a` occurs twice"));
    }
}
