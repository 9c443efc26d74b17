//! Listing keys as S3 does: in the order of their bytes, in pages, summed up at a delimiter.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use s3s::dto::*;

use super::Stored;

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

pub(crate) fn page(
    objects: &BTreeMap<String, Stored>,
    input: &ListObjectsV2Input,
    most: usize,
) -> ListObjectsV2Output {
    let most = input.max_keys.map_or(most, |asked| most.min(asked.unsigned_abs() as usize));
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let behind = input.continuation_token.as_deref();
    let text = |text: &str| match &input.encoding_type {
        None => text.to_owned(),
        Some(_) => percent_encode(text.as_bytes(), KEPT).to_string().replace("%20", "+"),
    };
    let (mut contents, mut folders, mut last) = (Vec::new(), Vec::new(), String::new());
    let mut truncated = false;
    let from = [Some(prefix), behind, input.start_after.as_deref()].into_iter().flatten().max();
    for (key, stored) in objects.range(from.unwrap_or_default().to_owned()..) {
        let Some(rest) = key.strip_prefix(prefix) else { break };
        if input.start_after.as_deref().is_some_and(|start| key.as_str() <= start) {
            continue;
        }
        let delimiter = input.delimiter.as_deref().and_then(|delimiter| rest.find(delimiter));
        let name = delimiter.map_or(&key[..], |end| &key[..=prefix.len() + end]);
        if behind.is_some_and(|behind| name <= behind) || name == last {
            continue;
        }
        if contents.len() + folders.len() == most {
            truncated = true;
            break;
        }
        name.clone_into(&mut last);
        if delimiter.is_some() {
            folders.push(CommonPrefix { prefix: Some(text(name)) });
        } else {
            let modified = UNIX_EPOCH + Duration::from_secs(stored.modified);
            contents.push(Object {
                key: Some(text(name)),
                size: Some(i64::try_from(stored.body.len()).unwrap()),
                last_modified: Some(Timestamp::from(modified)),
                ..Object::default()
            });
        }
    }
    ListObjectsV2Output {
        key_count: Some(i32::try_from(contents.len() + folders.len()).unwrap()),
        contents: Some(contents),
        common_prefixes: Some(folders),
        is_truncated: Some(truncated),
        next_continuation_token: truncated.then_some(last),
        encoding_type: input.encoding_type.clone(),
        ..ListObjectsV2Output::default()
    }
}
