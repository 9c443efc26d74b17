//! Validation of an entry before it is written.

use serde_json::Value;

use crate::{AuditEntry, InvalidEntry, MAX_LINE_BYTES, metadata};

/// The maximum depth of arrays and objects in metadata. JSON parsers limit the depth (serde_json to
/// 128 levels, including the entry itself), and every written entry must be readable.
pub const MAX_METADATA_DEPTH: usize = 100;

impl AuditEntry {
    /// Checks whether the entry may be written: a valid id, a finite latency, metadata nested at most
    /// [`MAX_METADATA_DEPTH`] deep, values of the right type for the keys of the
    /// [vocabulary](crate::metadata), content that fits a line. The exact length is checked when the
    /// line is encoded ([`line::encode`](crate::line::encode)).
    ///
    /// Every backend calls this before it writes.
    ///
    /// # Errors
    ///
    /// [`InvalidEntry`] with the field and the rule.
    pub fn validate(&self) -> Result<(), InvalidEntry> {
        self.id.validate()?;
        if !self.latency_ms.is_finite() {
            return Err(InvalidEntry::NotFinite { field: "latency_ms", value: self.latency_ms });
        }
        if !self.metadata.values().all(|value| nests_within(value, MAX_METADATA_DEPTH)) {
            return Err(InvalidEntry::MetadataTooDeep);
        }
        metadata::check(&self.metadata)?;
        let content = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let length = content(&self.input_content) + content(&self.output_content);
        if length > MAX_LINE_BYTES {
            return Err(InvalidEntry::TooLarge { length });
        }
        Ok(())
    }
}

fn nests_within(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| nests_within(item, depth - 1)),
        Value::Object(fields) => {
            depth > 0 && fields.values().all(|item| nests_within(item, depth - 1))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryId, InvalidId, Timestamp, line};

    fn entry() -> AuditEntry {
        AuditEntry::new("a".parse().unwrap(), Timestamp::UNIX_EPOCH, "i".into(), "o".into())
    }

    fn nested(levels: usize) -> Value {
        (0..levels).fold(Value::from(1), |inner, level| {
            if level % 2 == 0 {
                Value::Array(vec![inner])
            } else {
                serde_json::json!({ "k": inner })
            }
        })
    }

    #[test]
    fn errors_name_the_invalid_field() {
        assert!(entry().validate().is_ok());
        for latency in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = AuditEntry { latency_ms: latency, ..entry() }.validate().unwrap_err();
            assert!(
                matches!(error, InvalidEntry::NotFinite { field: "latency_ms", .. }),
                "{error}"
            );
        }
        let error =
            AuditEntry { id: EntryId::new_unchecked("../a"), ..entry() }.validate().unwrap_err();
        assert!(matches!(error, InvalidEntry::Id(InvalidId::PathSeparator { .. })), "{error}");
    }

    #[test]
    fn deepest_valid_metadata_can_be_read_back() {
        let mut deep = entry();
        deep.metadata.insert("k".into(), nested(MAX_METADATA_DEPTH));
        deep.validate().unwrap();
        assert_eq!(line::decode(&line::encode(&deep).unwrap()).unwrap(), deep);

        deep.metadata.insert("k".into(), nested(MAX_METADATA_DEPTH + 1));
        assert!(matches!(deep.validate(), Err(InvalidEntry::MetadataTooDeep)));
    }
}
