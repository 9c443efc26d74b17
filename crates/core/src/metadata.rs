//! Metadata of an entry: a vocabulary of keys that have a meaning, and parsing that changes no value.
//!
//! An entry has 17 fields and gains none, so what has no field is metadata, under the names of
//! OpenTelemetry where it has one, and under `attestry.` otherwise. `docs/metadata.md` is the reference.
//! Every other key is the caller's.

mod getters;
mod strict;
mod vocabulary;

use serde_json::{Map, Value};

use crate::DecodeError;

pub(crate) use self::vocabulary::check;
pub use self::vocabulary::*;

#[doc(hidden)]
pub use self::strict::{deserialize, value_from_json};

/// Parses metadata from a JSON object. No value changes: what a [`Value`] cannot hold is refused.
///
/// ```
/// use attestry_core::metadata;
///
/// assert_eq!(metadata::from_json(r#"{"team": "search"}"#)?["team"], "search");
/// let error = metadata::from_json(r#"{"user": 18446744073709551616}"#).unwrap_err();
/// assert_eq!(error.to_string(), "metadata.user: an integer has more than 64 bits; write it as text");
/// let error = metadata::from_json(r#"{"user": 1, "user": 2}"#).unwrap_err();
/// assert!(error.to_string().starts_with("metadata: the key `user` occurs twice"));
/// # Ok::<(), attestry_core::DecodeError>(())
/// ```
///
/// # Errors
///
/// [`DecodeError`] if it is not a JSON object, if a key occurs twice at any depth, or if an integer has
/// more than 64 bits, which would become a floating-point number.
pub fn from_json(json: &str) -> Result<Map<String, Value>, DecodeError> {
    if !json.trim_start().starts_with('{') {
        return Err(DecodeError::not_an_object());
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let metadata = deserialize(&mut deserializer)
        .and_then(|metadata| deserializer.end().map(|()| metadata))
        .map_err(|error| DecodeError::from_json(&error))?;
    check_integers(&metadata, || json)?;
    Ok(metadata)
}

/// Fails if an integer of `metadata`, parsed from `json`, has more than 64 bits. Costs almost nothing
/// unless there is a very large number.
#[doc(hidden)]
pub fn check_integers<'a>(
    metadata: &Map<String, Value>,
    json: impl FnOnce() -> &'a str,
) -> Result<(), DecodeError> {
    if !metadata.values().any(strict::has_large_float) {
        return Ok(());
    }
    match strict::key_of_wide_integer(json()) {
        Some(key) => Err(DecodeError::new(format!(
            "metadata.{key}: an integer has more than 64 bits; write it as text"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(json: &str) -> String {
        from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn values_are_kept_exactly() {
        let text = r#"{"z":18446744073709551615,"a":-9223372036854775808,"f":1e300,"g":1.0e19,"s":"18446744073709551616","n":[{"b":null,"a":[true]}]}"#;
        let metadata = from_json(text).unwrap();
        let expected = json!({
            "z": u64::MAX, "a": i64::MIN, "f": 1e300, "g": 1e19, "s": "18446744073709551616",
            "n": [{"b": null, "a": [true]}]
        });
        assert_eq!(Value::from(metadata.clone()), expected);
        let keys: Vec<_> = metadata.keys().collect();
        assert_eq!(keys, ["z", "a", "f", "g", "s", "n"]);
    }

    #[test]
    fn integers_beyond_64_bits_are_refused_with_their_key() {
        for number in
            ["18446744073709551616", "-9223372036854775809", "[1,{\"a\":99999999999999999999}]"]
        {
            let text = format!(r#"{{"s": "1,\"99999999999999999999", "k\u0065y": {number}}}"#);
            assert!(
                error(&text).starts_with("metadata.key: an integer has more than 64"),
                "{text}"
            );
        }
    }

    #[test]
    fn repeated_keys_are_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"b":{"a":1,"a":2}}"#, r#"{"b":[{"a":1,"\u0061":2}]}"#]
        {
            let error = error(text);
            assert!(error.starts_with("metadata: the key `a` occurs twice"), "{text}: {error}");
        }
    }

    #[test]
    fn only_an_object_is_accepted() {
        for text in ["", "[]", "null", "{} {}", "{\"a\": }"] {
            assert!(from_json(text).is_err(), "{text}");
        }
    }
}
