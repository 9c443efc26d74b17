//! Values near those of a filter that matched nothing: `OpenAI` for `openai`.

use std::collections::HashMap;

use attestry::{
    AuditEntry, AuditLogger, MetadataCondition, MetadataTest, Order, Query, StorageError,
};
use futures_util::StreamExt;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use crate::errors::Failure;
use crate::text::{counted, escaped, stderr_line};

/// The newest entries whose values are compared.
const MAX_ENTRIES: usize = 100_000;
/// Distinct values of each field.
const MAX_VALUES: usize = 10_000;
/// Suggestions for each field.
const MAX_SHOWN: usize = 3;

type ValuesOf<'a> = Box<dyn Fn(&AuditEntry) -> Vec<String> + 'a>;

/// A filter, and the values that the store has for it.
struct Field<'a> {
    /// As the user knows it: `provider`, or the metadata key.
    name: String,
    wanted: String,
    values_of: ValuesOf<'a>,
    seen: HashMap<String, u64>,
}

/// Says on standard error, for each filter of `query` whose value no entry has, which values are near.
/// To be called after `query` selected nothing.
pub(crate) async fn print(logger: &AuditLogger, query: &Query) -> Result<(), Failure> {
    let mut fields = fields(query);
    if fields.is_empty() {
        return Ok(());
    }
    let mut entries = logger.query(Query::new().order(Order::Descending).limit(MAX_ENTRIES));
    while let Some(entry) = entries.next().await {
        match entry {
            Ok(entry) => fields.iter_mut().for_each(|field| field.add(&entry)),
            Err(StorageError::Corrupt(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    fields.iter().filter_map(Field::note).for_each(|note| stderr_line(escaped(&note)));
    Ok(())
}

fn fields(query: &Query) -> Vec<Field<'_>> {
    type Get = fn(&AuditEntry) -> &Option<String>;
    let texts: [(_, _, Get); 3] = [
        ("provider", &query.provider, |entry| &entry.provider),
        ("model", &query.model, |entry| &entry.model),
        ("conversation", &query.conversation_id, |entry| &entry.conversation_id),
    ];
    let mut fields = Vec::new();
    for (name, wanted, get) in texts {
        if let Some(wanted) = wanted {
            let values_of = move |entry: &AuditEntry| get(entry).iter().cloned().collect();
            fields.push(Field::new(name, wanted.clone(), values_of));
        }
    }
    if let Some(wanted) = &query.detector {
        let values_of = |entry: &AuditEntry| entry.detectors_triggered.clone();
        fields.push(Field::new("detector", wanted.clone(), values_of));
    }
    for condition in &query.metadata {
        fields.push(metadata_field(condition));
    }
    fields
}

fn metadata_field(condition: &MetadataCondition) -> Field<'_> {
    let key = condition.key.as_str();
    match &condition.test {
        MetadataTest::Equals(wanted) => {
            let values_of = move |entry: &AuditEntry| {
                entry.metadata.get(key).map(Value::to_string).into_iter().collect()
            };
            Field::new(&format!("metadata {key}"), wanted.to_string(), values_of)
        }
        _ => {
            let values_of = |entry: &AuditEntry| entry.metadata.keys().cloned().collect();
            Field::new("metadata key", key.to_owned(), values_of)
        }
    }
}

impl<'a> Field<'a> {
    fn new(
        name: &str,
        wanted: String,
        values_of: impl Fn(&AuditEntry) -> Vec<String> + 'a,
    ) -> Self {
        Self { name: name.to_owned(), wanted, values_of: Box::new(values_of), seen: HashMap::new() }
    }

    fn add(&mut self, entry: &AuditEntry) {
        for value in (self.values_of)(entry) {
            if self.seen.len() < MAX_VALUES || self.seen.contains_key(&value) {
                *self.seen.entry(value).or_default() += 1;
            }
        }
    }

    /// `None` if entries have the value, so that another filter excludes them.
    fn note(&self) -> Option<String> {
        if self.seen.contains_key(&self.wanted) {
            return None;
        }
        let mut near: Vec<_> = self
            .seen
            .iter()
            .filter_map(|(value, entries)| {
                Some((distance(&self.wanted, value)?, std::cmp::Reverse(*entries), value))
            })
            .collect();
        near.sort_unstable();
        let shown = near.iter().take(MAX_SHOWN).map(|(_, entries, value)| {
            format!("{value:?} ({})", counted(entries.0, "entry", "entries"))
        });
        let shown = shown.collect::<Vec<_>>().join(", ");
        let Self { name, wanted, .. } = self;
        let end = if shown.is_empty() { String::new() } else { format!("; near: {shown}") };
        Some(format!("no entry has the {name} {wanted:?}{end}"))
    }
}

/// How far `value` is from `wanted`; `None` if it is not near. 0: equal but for case, the form of
/// composed characters, or quotes.
fn distance(wanted: &str, value: &str) -> Option<usize> {
    let folded = |text: &str| -> String {
        text.trim_matches('"').trim().nfkc().flat_map(char::to_lowercase).nfc().collect()
    };
    let (wanted, value) = (folded(wanted), folded(value));
    if wanted == value {
        return Some(0);
    }
    let length = wanted.chars().count();
    if wanted.is_empty() || length.abs_diff(value.chars().count()) > 3 && !value.contains(&wanted) {
        return None;
    }
    if length >= 3 && (value.contains(&wanted) || wanted.contains(&value) && value.len() >= 3) {
        return Some(4);
    }
    let edits = strsim::damerau_levenshtein(&wanted, &value);
    (edits <= (length / 3).clamp(1, 3)).then_some(edits)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn near_values_are_found() {
        for (wanted, value) in [
            ("openai", "OpenAI"),
            ("Zoe\u{308}", "Zo\u{eb}"),
            ("42", "\"42\""),
            ("gpt4", "gpt-4"),
            ("gpt-4", "gpt-4-turbo-2024"),
            ("antropic", "anthropic"),
            ("straße", "STRASSE"),
        ] {
            assert!(distance(wanted, value).is_some(), "{wanted} {value}");
        }
        for (wanted, value) in [("openai", "anthropic"), ("a", "b1"), ("u-1", "u-9999"), ("", "x")]
        {
            assert!(distance(wanted, value).is_none(), "{wanted} {value}");
        }
    }
}
