//! `ListObjectsV2` on a map: keys in byte order, in pages, grouped at a delimiter.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use s3s::dto::*;

use super::StoredObject;

const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

pub(crate) fn page(
    objects: &BTreeMap<String, StoredObject>,
    input: &ListObjectsV2Input,
    page_size: usize,
) -> ListObjectsV2Output {
    let max_keys =
        input.max_keys.map_or(page_size, |max| page_size.min(max.unsigned_abs() as usize));
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let token = input.continuation_token.as_deref();
    let encode = |text: &str| match &input.encoding_type {
        None => text.to_owned(),
        Some(_) => percent_encode(text.as_bytes(), UNESCAPED).to_string().replace("%20", "+"),
    };
    let (mut contents, mut common_prefixes, mut last) = (Vec::new(), Vec::new(), String::new());
    let mut truncated = false;
    let from = [Some(prefix), token, input.start_after.as_deref()].into_iter().flatten().max();
    for (key, object) in objects.range(from.unwrap_or_default().to_owned()..) {
        let Some(rest) = key.strip_prefix(prefix) else { break };
        if input.start_after.as_deref().is_some_and(|start| key.as_str() <= start) {
            continue;
        }
        let delimiter = input.delimiter.as_deref().and_then(|delimiter| rest.find(delimiter));
        let name = delimiter.map_or(&key[..], |end| &key[..=prefix.len() + end]);
        if token.is_some_and(|token| name <= token) || name == last {
            continue;
        }
        if contents.len() + common_prefixes.len() == max_keys {
            truncated = true;
            break;
        }
        name.clone_into(&mut last);
        if delimiter.is_some() {
            common_prefixes.push(CommonPrefix { prefix: Some(encode(name)) });
        } else {
            let modified = UNIX_EPOCH + Duration::from_secs(object.modified);
            contents.push(Object {
                key: Some(encode(name)),
                size: Some(i64::try_from(object.body.len()).unwrap()),
                last_modified: Some(Timestamp::from(modified)),
                ..Object::default()
            });
        }
    }
    ListObjectsV2Output {
        key_count: Some(i32::try_from(contents.len() + common_prefixes.len()).unwrap()),
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        is_truncated: Some(truncated),
        next_continuation_token: truncated.then_some(last),
        encoding_type: input.encoding_type.clone(),
        ..ListObjectsV2Output::default()
    }
}
