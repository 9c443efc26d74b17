//! JSON records: parsing with the tolerances that exports of other programs need, and taking them apart.

use attestry_core::{DecodeError, Timestamp, json_text, metadata};
use serde_json::{Map, Number, Value};

use crate::time;

/// Integers up to this one are exact in RFC 8785, whose numbers are doubles.
const MAX_EXACT: u64 = 1 << 53;

/// A JSON record.
pub(crate) struct Parsed {
    pub(crate) value: Value,
    /// Whether a value could not be kept: `NaN`, half of a surrogate pair, an integer of more than 64 bits.
    pub(crate) lossy: bool,
}

/// Parses `json`. `NaN` and infinities become `null`, and half of a surrogate pair U+FFFD. Fails if a key occurs
/// twice.
pub(crate) fn parse(json: &[u8]) -> Result<Parsed, DecodeError> {
    match parse_strict(json) {
        Ok(value) => {
            let lossy = has_huge_float(&value) && has_wide_integer(json);
            Ok(Parsed { value, lossy })
        }
        Err(error) => {
            let without_numbers = json_text::without_special_numbers(json, b"null");
            let text = without_numbers.as_deref().unwrap_or(json);
            let without_surrogates = json_text::without_lone_surrogates(text);
            match without_surrogates.or(without_numbers) {
                Some(rewritten) => {
                    parse_strict(&rewritten).map(|value| Parsed { value, lossy: true })
                }
                None => Err(error),
            }
        }
    }
}

fn parse_strict(json: &[u8]) -> Result<Value, DecodeError> {
    match std::str::from_utf8(json) {
        Ok(text) => metadata::value_from_json(text),
        // Not JSON; the error of the parser says at which column.
        Err(_) => Err(match serde_json::from_slice::<&serde_json::value::RawValue>(json) {
            Err(error) => DecodeError::from_json(&error),
            Ok(_) => DecodeError::not_an_object(),
        }),
    }
}

fn has_huge_float(value: &Value) -> bool {
    has_number(value, |number| {
        number.is_f64() && number.as_f64().is_some_and(|n| n.abs() >= 1.8e19)
    })
}

fn has_number(value: &Value, condition: impl Fn(&Number) -> bool + Copy) -> bool {
    match value {
        Value::Number(number) => condition(number),
        Value::Array(items) => items.iter().any(|item| has_number(item, condition)),
        Value::Object(fields) => fields.values().any(|field| has_number(field, condition)),
        _ => false,
    }
}

fn has_wide_integer(json: &[u8]) -> bool {
    let is_wide = |integer: &str| {
        integer.parse::<i128>().is_ok_and(|n| n > u64::MAX.into()) || integer.len() > 38
    };
    std::str::from_utf8(json).is_ok_and(|text| json_text::has_integer(text, is_wide))
}

/// A JSON list or object in `text`; `None` if it is anything else, or would not survive as canonical JSON.
pub(crate) fn embedded(text: &str) -> Option<Value> {
    let trimmed = text.trim_start();
    if !trimmed.starts_with(['{', '[']) {
        return None;
    }
    let value = metadata::value_from_json(text).ok()?;
    let is_inexact = |integer: &str| {
        integer.parse::<i64>().map_or(true, |integer| integer.unsigned_abs() > MAX_EXACT)
    };
    let may_be_inexact = has_number(&value, |number| match number.as_i64() {
        Some(integer) => integer.unsigned_abs() > MAX_EXACT,
        None => number.as_f64().is_none_or(|number| number.abs() > MAX_EXACT as f64),
    });
    (!may_be_inexact || !json_text::has_integer(text, is_inexact)).then_some(value)
}

/// `value`, or the JSON that it is as text: some programs write structured values as text.
pub(crate) fn structured(value: Value) -> Value {
    match &value {
        Value::String(text) => embedded(text).unwrap_or(value),
        _ => value,
    }
}

/// How deeply arrays and objects are nested in `value`.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Writes integers that canonical JSON would round as text. Returns whether there are any.
pub(crate) fn keep_integers(value: &mut Value) -> bool {
    match value {
        Value::Number(number) => {
            let is_exact = |n: i64| n.unsigned_abs() <= MAX_EXACT;
            if number.is_f64() || number.as_i64().is_some_and(is_exact) {
                return false;
            }
            *value = Value::String(number.to_string());
            true
        }
        // Not `any`, which would end at the first: all of them are changed.
        Value::Array(items) => items.iter_mut().filter_map(kept).count() > 0,
        Value::Object(fields) => fields.values_mut().filter_map(kept).count() > 0,
        _ => false,
    }
}

fn kept(value: &mut Value) -> Option<()> {
    keep_integers(value).then_some(())
}

/// An integer: also as text, or as a number without a fraction.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float =
                number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() <= MAX_EXACT as f64)?;
            Some(float as i64)
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A finite number: also as text.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// Takes what is at `path` out of `value`; `null` if nothing is there. Unlike the index operator, it neither panics nor
/// adds a key.
pub(crate) fn take_at(value: &mut Value, path: &[&str]) -> Value {
    let at = path.iter().try_fold(value, |value, step| match value {
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get_mut(*step),
        _ => None,
    });
    at.map(Value::take).unwrap_or_default()
}

/// Whether `text` is a name, an id, a time or a URL, and so no content.
pub(crate) fn is_label(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@+=#%?&~,".contains(&byte);
    text.len() <= 128 && (text.bytes().all(is_part) || text.parse::<Timestamp>().is_ok())
}

/// Whether `value` says nothing.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Objects with more fields are searched by the hash of the key. To hash the name of each field that an object might have
/// takes longer than to compare it with the keys of those that it has.
const FEW: usize = 32;

/// The fields of an object, which are taken out one after the other. What is left is the [`rest`](Self::rest):
/// so nothing is dropped.
///
/// A getter leaves a value of another type where it is.
#[derive(Clone)]
pub(crate) enum Fields {
    Few(Vec<(String, Value)>),
    Many(Map<String, Value>),
}

impl Default for Fields {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Fields {
    /// Of anything but an object: none.
    pub(crate) fn new(value: Value) -> Self {
        match value {
            Value::Object(fields) => fields.into(),
            Value::Null => Self::default(),
            value => Self::Few(vec![("value".to_owned(), value)]),
        }
    }

    /// Without fields, and with room for `count`.
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self::Few(Vec::with_capacity(count.min(FEW)))
    }

    /// The value of a field that is there.
    pub(crate) fn find(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Few(fields) => {
                fields.iter().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            Self::Many(fields) => fields.get(key),
        }
    }

    fn find_mut(&mut self, key: &str) -> Option<&mut Value> {
        match self {
            Self::Few(fields) => {
                fields.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            Self::Many(fields) => fields.get_mut(key),
        }
    }

    /// Adds a field whose key is not there.
    pub(crate) fn add(&mut self, key: String, value: Value) {
        match self {
            Self::Few(fields) if fields.len() < FEW => fields.push((key, value)),
            Self::Few(fields) => {
                let mut fields: Map<_, _> = std::mem::take(fields).into_iter().collect();
                fields.insert(key, value);
                *self = Self::Many(fields);
            }
            Self::Many(fields) => drop(fields.insert(key, value)),
        }
    }

    pub(crate) fn get(&self, key: &str) -> &Value {
        self.find(key).unwrap_or(&Value::Null)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        !self.get(key).is_null()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let (few, many) = match self {
            Self::Few(fields) => (Some(fields), None),
            Self::Many(fields) => (None, Some(fields)),
        };
        let few = few.into_iter().flatten().map(|(key, value)| (key, value));
        few.chain(many.into_iter().flatten())
            .filter(|(_, value)| !value.is_null())
            .map(|(key, _)| key.as_str())
    }

    /// Takes a value that is not null.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        // Not removed: that would move all fields behind it.
        self.find_mut(key).map(Value::take).filter(|value| !value.is_null())
    }

    fn take_if<T>(&mut self, key: &str, convert: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.find_mut(key)?;
        let converted = convert(value)?;
        *value = Value::Null;
        Some(converted)
    }

    /// A text that is not empty.
    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.find_mut(key)?;
        if !value.is_string() {
            return None;
        }
        match value.take() {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A text, or a number as text.
    pub(crate) fn label(&mut self, key: &str) -> Option<String> {
        self.text(key)
            .or_else(|| self.take_if(key, |value| value.is_number().then(|| value.to_string())))
    }

    pub(crate) fn integer(&mut self, key: &str) -> Option<i64> {
        self.take_if(key, integer)
    }

    pub(crate) fn number(&mut self, key: &str) -> Option<f64> {
        self.take_if(key, number)
    }

    pub(crate) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.take_if(key, |value| match value {
            Value::Bool(value) => Some(*value),
            Value::String(text) => text.to_ascii_lowercase().parse().ok(),
            _ => None,
        })
    }

    pub(crate) fn time(&mut self, key: &str) -> Option<Timestamp> {
        self.take_if(key, time::from_value)
    }

    pub(crate) fn list(&mut self, key: &str) -> Option<Vec<Value>> {
        let value = self.find_mut(key)?;
        match value.take() {
            Value::Array(items) => Some(items),
            other => {
                *value = other;
                None
            }
        }
    }

    /// A text or a list of texts.
    pub(crate) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        self.take_if(key, |value| match value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(items) => {
                items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
            }
            _ => None,
        })
    }

    /// The fields of an object.
    pub(crate) fn fields(&mut self, key: &str) -> Self {
        let Some(value) = self.find_mut(key) else { return Self::default() };
        match value.take() {
            Value::Object(fields) => fields.into(),
            other => {
                *value = other;
                Self::default()
            }
        }
    }

    /// The fields of an object, which may be written as text.
    pub(crate) fn embedded_fields(&mut self, key: &str) -> Self {
        if let Some(value) = self.find_mut(key) {
            *value = structured(value.take());
        }
        self.fields(key)
    }

    pub(crate) fn put(&mut self, key: &str, value: Value) {
        match self.find_mut(key) {
            Some(known) => *known = value,
            None => self.add(key.to_owned(), value),
        }
    }

    /// Puts the rest of an object that was taken back under `key`.
    pub(crate) fn put_rest(&mut self, key: &str, rest: Self) {
        let rest = rest.rest();
        if !rest.is_empty() {
            self.put(key, rest.into());
        }
    }

    /// What was not taken and says anything.
    pub(crate) fn rest(self) -> Map<String, Value> {
        match self {
            Self::Few(fields) => fields.into_iter().filter(|(_, value)| !is_empty(value)).collect(),
            Self::Many(fields) => {
                fields.into_iter().filter(|(_, value)| !is_empty(value)).collect()
            }
        }
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(fields: Map<String, Value>) -> Self {
        if fields.len() <= FEW {
            Self::Few(fields.into_iter().collect())
        } else {
            Self::Many(fields)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tolerances_are_recorded_as_lossy() {
        for (text, expected, lossy) in [
            (r#"{"a": 1}"#, json!({"a": 1}), false),
            (r#"{"a": NaN}"#, json!({"a": null}), true),
            (r#"{"a": "\ud83d", "b": -Infinity}"#, json!({"a": "\u{fffd}", "b": null}), true),
            (r#"{"a": 1e20}"#, json!({"a": 1e20}), false),
            (r#"{"a": 100000000000000000001}"#, json!({"a": 1e20}), true),
        ] {
            let parsed = parse(text.as_bytes()).unwrap();
            assert_eq!((parsed.value, parsed.lossy), (expected, lossy), "{text}");
        }
        for text in ["", "{", r#"{"a":1,"a":2}"#, r#"{"a":"b"#] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
        let nested = "[".repeat(100_000);
        assert!(parse(nested.as_bytes()).is_err());
    }

    #[test]
    fn what_is_not_taken_stays() {
        let mut fields = Fields::new(json!({
            "a": "text", "b": 5, "c": "5", "d": [1], "e": {"x": 1}, "f": null, "g": "", "h": 5.0
        }));
        assert_eq!(fields.text("b"), None);
        assert_eq!(fields.text("a").as_deref(), Some("text"));
        assert_eq!((fields.integer("c"), fields.integer("h")), (Some(5), Some(5)));
        assert_eq!(fields.list("e"), None);
        assert_eq!(Value::from(fields.rest()), json!({"b": 5, "d": [1], "e": {"x": 1}}));
    }

    #[test]
    fn integers_that_would_be_rounded_become_text() {
        let mut value = json!([9007199254740993_i64, [9007199254740992_i64, 1.5], {"a": u64::MAX}]);
        assert!(keep_integers(&mut value));
        let expected =
            json!(["9007199254740993", [9007199254740992_i64, 1.5], {"a": "18446744073709551615"}]);
        assert_eq!(value, expected);
        assert!(!keep_integers(&mut value));
    }
}
