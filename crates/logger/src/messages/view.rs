//! JSON values that are made of borrowed ones, to write them without copying texts.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::canonical_json::{self, Canonical};

/// A JSON value.
pub(crate) enum View<'a> {
    Text(&'a str),
    Value(&'a Value),
    Owned(Value),
    List(Vec<Self>),
    Fields(Fields<'a>),
}

/// The fields of an object, of which each key is there once.
#[derive(Default)]
pub(crate) struct Fields<'a>(Vec<(&'a str, View<'a>)>);

impl<'a> Fields<'a> {
    pub(super) fn of(fields: &'a Map<String, Value>) -> Self {
        Self(fields.iter().map(|(key, value)| (key.as_str(), View::Value(value))).collect())
    }

    /// Adds a field whose key is not there.
    pub(super) fn add(&mut self, key: &'a str, value: View<'a>) {
        self.0.push((key, value));
    }

    /// Replaces the field with this key, or adds it.
    pub(super) fn set(&mut self, key: &'a str, value: View<'a>) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => self.add(key, value),
        }
    }
}

impl View<'_> {
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Value(value) => value.clone(),
            Self::Owned(value) => value,
            Self::List(items) => items.into_iter().map(Self::into_value).collect(),
            Self::Fields(Fields(fields)) => {
                let fields = fields.into_iter();
                fields.map(|(key, value)| (key.to_owned(), value.into_value())).collect()
            }
        }
    }

    /// About the bytes of the text.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + 8,
            Self::Value(_) | Self::Owned(_) => 32,
            Self::List(items) => items.iter().map(Self::size).sum::<usize>() + 8,
            Self::Fields(Fields(fields)) => {
                fields.iter().map(|(key, value)| key.len() + value.size() + 8).sum()
            }
        }
    }

    /// As [`canonical_json::is_exact`].
    pub(super) fn is_exact(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Value(value) => canonical_json::is_exact(value),
            Self::Owned(value) => canonical_json::is_exact(value),
            Self::List(items) => items.iter().all(Self::is_exact),
            Self::Fields(Fields(fields)) => fields.iter().all(|(_, value)| value.is_exact()),
        }
    }
}

/// The canonical form.
impl Serialize for View<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Value(value) => Canonical(value).serialize(serializer),
            Self::Owned(value) => Canonical(value).serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Fields(Fields(fields)) => {
                let fields = fields.iter().map(|(key, value)| (*key, value));
                serializer.collect_map(canonical_json::sorted(fields))
            }
        }
    }
}
