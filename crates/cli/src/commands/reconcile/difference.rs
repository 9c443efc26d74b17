//! In which values two records of one call differ.

use super::calls::Here;

/// A field with its value here and there.
pub(super) type Difference = (&'static str, String, String);

/// The fields that both records have and that differ.
pub(super) fn differences(here: &Here, there: &Here) -> Vec<Difference> {
    let mut found = Vec::new();
    // A keyed hash, which has a prefix, and a plain one are not comparable.
    let is_keyed = |hash: &Option<String>| hash.as_ref().is_some_and(|hash| hash.contains(':'));
    if is_keyed(&here.input_hash) == is_keyed(&there.input_hash) {
        compare("input_hash", &here.input_hash, &there.input_hash, &mut found);
        compare("output_hash", &here.output_hash, &there.output_hash, &mut found);
    }
    compare("model", &here.model, &there.model, &mut found);
    compare("input_tokens", &here.input_tokens, &there.input_tokens, &mut found);
    compare("output_tokens", &here.output_tokens, &there.output_tokens, &mut found);
    found
}

fn compare<T: PartialEq + ToString>(
    field: &'static str,
    here: &Option<T>,
    there: &Option<T>,
    found: &mut Vec<Difference>,
) {
    if let (Some(here), Some(there)) = (here, there)
        && here != there
    {
        found.push((field, here.to_string(), there.to_string()));
    }
}
