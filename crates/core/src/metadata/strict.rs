//! JSON values without loss: repeated keys are an error, and integers beyond 64 bits are found.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::{DecodeError, json_text};

/// Deserializes metadata for `#[serde(deserialize_with)]`; `null` is empty.
///
/// # Errors
///
/// That of the deserializer, and if a key occurs twice.
pub fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Map<String, Value>, D::Error> {
    match deserializer.deserialize_any(Strict) {
        Ok(Value::Object(metadata)) => Ok(metadata),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(D::Error::custom("metadata: expected an object")),
        Err(error) => Err(D::Error::custom(format_args!("metadata: {error}"))),
    }
}

/// Parses any JSON value.
///
/// # Errors
///
/// [`DecodeError`] if it is not JSON, or if a key occurs twice at any depth.
pub fn value_from_json(json: &str) -> Result<Value, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    Strict
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| DecodeError::from_json(&error))
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(list.into())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = items.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{key}` occurs twice")));
            }
            let value = items.next_value_seed(Self)?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

/// Whether a number that is too large for 64 bits is among `value`: written as an integer, it was rounded.
pub(super) fn has_large_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            number.is_f64() && number.as_f64().is_some_and(|value| value.abs() >= 9.2e18)
        }
        Value::Array(items) => items.iter().any(has_large_float),
        Value::Object(fields) => fields.values().any(has_large_float),
        _ => false,
    }
}

/// Whether an integer does not fit 64 bits.
fn is_wide(integer: &str) -> bool {
    integer.parse::<i64>().is_err() && integer.parse::<u64>().is_err()
}

/// The first key of the object `json` whose value contains an integer of more than 64 bits.
pub(super) fn key_of_wide_integer(json: &str) -> Option<String> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = Option<String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Option<String>, A::Error> {
            let mut found = None;
            while let Some((key, value)) = items.next_entry::<String, &RawValue>()? {
                if found.is_none() && json_text::has_integer(value.get(), is_wide) {
                    found = Some(key);
                }
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Keys).ok().flatten()
}
