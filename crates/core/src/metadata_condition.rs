//! Conditions on the metadata of an entry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// A condition on one key of an entry's metadata. Keys are compared as a whole: a dot does not reach
/// into a nested object.
///
/// The text form, which serde uses too, is `KEY` if the key must exist, and `KEY=VALUE` if it must have
/// a value. `VALUE` is JSON (a number, a boolean, `null` or a text in quotes); anything that is not JSON
/// is a text. A key that contains `=` or begins with a quote is written in quotes.
///
/// ```
/// use attestry_core::MetadataCondition;
///
/// for (text, condition) in [
///     ("user.id=u-17", MetadataCondition::equals("user.id", "u-17")),
///     ("user.id=\"17\"", MetadataCondition::equals("user.id", "17")),
///     ("user.id=17", MetadataCondition::equals("user.id", 17)),
///     ("trace_id", MetadataCondition::exists("trace_id")),
/// ] {
///     assert_eq!(text.parse(), Ok(condition.clone()));
///     assert_eq!(condition.to_string(), text);
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct MetadataCondition {
    /// The key.
    pub key: String,
    /// What is required of its value.
    pub test: MetadataTest,
}

/// What a [`MetadataCondition`] requires of the value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetadataTest {
    /// The key exists, with any value, also `null`.
    Exists,
    /// The key has this value: a text, a number, a boolean or `null`. Numbers are compared by value.
    Equals(Value),
}

/// Why a text is not a [`MetadataCondition`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidMetadataCondition {
    /// The key is empty.
    #[error("expected KEY=VALUE or KEY, such as team=search")]
    NoKey,
    /// The key begins with a quote, but is not a JSON string.
    #[error("the key begins with a quote and is not a JSON string")]
    Key,
    /// The value is an array or object.
    #[error(
        "the value is an array or object; only text, numbers, true, false and null can be compared"
    )]
    NotAScalar,
}

impl MetadataCondition {
    /// The metadata has `key` with this value. The value must not be an array or object.
    #[must_use]
    pub fn equals(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), test: MetadataTest::Equals(value.into()) }
    }

    /// The metadata has `key`.
    #[must_use]
    pub fn exists(key: impl Into<String>) -> Self {
        Self { key: key.into(), test: MetadataTest::Exists }
    }

    /// Whether `metadata` meets the condition.
    #[must_use]
    pub fn holds(&self, metadata: &Map<String, Value>) -> bool {
        metadata.get(&self.key).is_some_and(|stored| match &self.test {
            MetadataTest::Exists => true,
            MetadataTest::Equals(value) => equal(value, stored),
        })
    }

    pub(crate) fn is_scalar(&self) -> bool {
        !matches!(&self.test, MetadataTest::Equals(Value::Array(_) | Value::Object(_)))
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || NumberValue::of(a) == NumberValue::of(b),
        _ => a == b,
    }
}

/// The value of a number, whether it is written as `5` or as `5.0`.
#[derive(PartialEq)]
enum NumberValue {
    Integer(i128),
    Float(f64),
}

impl NumberValue {
    fn of(number: &Number) -> Self {
        if let Some(integer) = number.as_i128() {
            return Self::Integer(integer);
        }
        let float = number.as_f64().unwrap_or(f64::NAN);
        // Exact: such floats have no more digits than an i128.
        #[allow(clippy::cast_possible_truncation)]
        if float.fract() == 0.0 && float.abs() < 1e30 {
            Self::Integer(float as i128)
        } else {
            Self::Float(float)
        }
    }
}

impl fmt::Display for MetadataCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() || self.key.starts_with('"') || self.key.contains('=') {
            write!(f, "{}", Value::from(self.key.as_str()))?;
        } else {
            f.write_str(&self.key)?;
        }
        match &self.test {
            MetadataTest::Exists => Ok(()),
            MetadataTest::Equals(Value::String(text))
                if serde_json::from_str::<Value>(text).is_err() =>
            {
                write!(f, "={text}")
            }
            MetadataTest::Equals(value) => write!(f, "={value}"),
        }
    }
}

impl FromStr for MetadataCondition {
    type Err = InvalidMetadataCondition;

    fn from_str(text: &str) -> Result<Self, InvalidMetadataCondition> {
        let (key, rest) = split_key(text)?;
        let Some(value) = rest.strip_prefix('=') else { return Ok(Self::exists(key)) };
        match serde_json::from_str(value) {
            Ok(Value::Array(_) | Value::Object(_)) => Err(InvalidMetadataCondition::NotAScalar),
            Ok(value) => Ok(Self { key, test: MetadataTest::Equals(value) }),
            Err(_) => Ok(Self::equals(key, value)),
        }
    }
}

/// The key, and the rest: empty or from the `=` on.
fn split_key(text: &str) -> Result<(String, &str), InvalidMetadataCondition> {
    if text.starts_with('"') {
        let mut keys = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let key = keys.next().and_then(Result::ok).ok_or(InvalidMetadataCondition::Key)?;
        let rest = &text[keys.byte_offset()..];
        let is_end = rest.is_empty() || rest.starts_with('=');
        return if is_end { Ok((key, rest)) } else { Err(InvalidMetadataCondition::Key) };
    }
    let (key, rest) = text.split_at(text.find('=').unwrap_or(text.len()));
    if key.is_empty() { Err(InvalidMetadataCondition::NoKey) } else { Ok((key.to_owned(), rest)) }
}

impl Serialize for MetadataCondition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MetadataCondition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn numbers_are_compared_by_value() {
        let equal = |a: Value, b: Value| {
            let metadata = Map::from_iter([("k".to_owned(), b)]);
            MetadataCondition::equals("k", a).holds(&metadata)
        };
        assert!(equal(json!(5), json!(5.0)));
        assert!(equal(json!(0), json!(-0.0)));
        assert!(equal(json!(u64::MAX), json!(u64::MAX)));
        assert!(equal(json!(1e300), json!(1e300)));
        assert!(!equal(json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0)));
        assert!(!equal(json!(5), json!("5")));
        assert!(!equal(json!(null), json!(false)));
    }

    #[test]
    fn null_exists_and_missing_keys_do_not() {
        let metadata = Map::from_iter([("k".to_owned(), Value::Null)]);
        assert!(MetadataCondition::exists("k").holds(&metadata));
        assert!(MetadataCondition::equals("k", Value::Null).holds(&metadata));
        assert!(!MetadataCondition::exists("K").holds(&metadata));
        assert!(!MetadataCondition::equals("other", Value::Null).holds(&metadata));
    }

    #[test]
    fn invalid_texts_are_rejected() {
        for (text, error) in [
            ("", InvalidMetadataCondition::NoKey),
            ("=x", InvalidMetadataCondition::NoKey),
            ("\"a", InvalidMetadataCondition::Key),
            ("\"a\"b=1", InvalidMetadataCondition::Key),
            ("tags=[1]", InvalidMetadataCondition::NotAScalar),
            ("tags={}", InvalidMetadataCondition::NotAScalar),
        ] {
            assert_eq!(text.parse::<MetadataCondition>(), Err(error), "{text}");
        }
    }

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            "[0-9\"=\\[\\]{} ]{0,6}".prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn text_is_parsed_back(key in "[a\"=.\\\\ é]{0,6}", value in prop::option::of(scalar())) {
            let condition = match value {
                None => MetadataCondition::exists(key),
                Some(value) => MetadataCondition::equals(key, value),
            };
            prop_assert_eq!(condition.to_string().parse(), Ok(condition));
        }
    }
}
