//! Listing keys, a page of at most 1,000 at a time.

use std::collections::HashSet;
use std::sync::Arc;

use attestry_core::{EntryId, StorageError};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use futures_core::Stream;
use futures_util::{TryStreamExt, stream};

use crate::bucket::Bucket;
use crate::error::RequestError;
use crate::key::{Day, Place, is_entry, place};
use crate::pages::{Wanted, read_pages};
use crate::storage::abortable;

/// An object as a listing shows it.
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) size: u64,
}

/// One page: objects, and where a delimiter was asked for, what lies deeper, summed up.
pub(crate) struct Page {
    pub(crate) objects: Vec<Listed>,
    pub(crate) folders: Vec<String>,
}

/// What a page of a day's listing has.
#[derive(Default)]
pub(crate) struct DayPage {
    pub(crate) entries: Vec<(String, u64)>,
    pub(crate) foreign: Vec<String>,
}

/// What lies right below the prefix.
#[derive(Default)]
pub(crate) struct TopPage {
    pub(crate) days: Vec<Day>,
    pub(crate) foreign: Vec<String>,
}

/// What a listing is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// All keys.
    Keys,
    /// Keys up to the next slash; what lies beyond it is summed up.
    Level,
    /// All keys, though only how they end is as it is. Encoding them is a part in twenty of what
    /// a page of them costs SeaweedFS.
    Endings,
}

enum Next {
    First { behind: Option<String> },
    Token(String),
    Done,
}

impl Bucket {
    /// The pages of what begins with `prefix`, in the order of keys. `behind` skips keys up to it.
    fn pages(
        self: Arc<Self>,
        prefix: String,
        asked: Asked,
        behind: Option<String>,
    ) -> impl Stream<Item = Result<Page, StorageError>> + Send + 'static {
        stream::try_unfold(Next::First { behind }, move |next| {
            let (bucket, prefix) = (Arc::clone(&self), prefix.clone());
            async move {
                let (behind, token) = match next {
                    Next::First { behind } => (behind, None),
                    Next::Token(token) => (None, Some(token)),
                    Next::Done => return Ok(None),
                };
                let page = async move { bucket.page(&prefix, asked, behind, token).await };
                // On a task, so that a listing nobody polls does not keep others waiting.
                abortable(page).await.map(Some)
            }
        })
    }

    async fn page(
        &self,
        prefix: &str,
        asked: Asked,
        behind: Option<String>,
        token: Option<String>,
    ) -> Result<(Page, Next), StorageError> {
        let _permit = self.permit().await?;
        let failed = |error| self.failed("list", prefix, error);
        let (behind, token) = (behind.as_deref(), token.as_deref());
        let request = || self.page_once(prefix, asked, behind, token);
        let answer = self.retries().begin().run(request).await.map_err(failed)?;
        let next = match answer.next_continuation_token() {
            _ if answer.is_truncated() != Some(true) => Next::Done,
            Some(new) if token != Some(new) => Next::Token(new.to_owned()),
            _ => {
                let reason = "the listing is cut short and says not where it goes on";
                return Err(failed(RequestError::other(reason)));
            }
        };
        Ok((page(answer), next))
    }

    async fn page_once(
        &self,
        prefix: &str,
        asked: Asked,
        behind: Option<&str>,
        token: Option<&str>,
    ) -> Result<ListObjectsV2Output, RequestError> {
        self.client()
            .list_objects_v2()
            .bucket(self.name())
            .prefix(prefix)
            // Keys may hold what XML cannot.
            .set_encoding_type((asked != Asked::Endings).then_some(EncodingType::Url))
            .set_delimiter((asked == Asked::Level).then(|| "/".to_owned()))
            .set_start_after(behind.map(str::to_owned))
            .set_continuation_token(token.map(str::to_owned))
            .customize()
            .interceptor(read_pages(match asked {
                Asked::Endings => Wanted::Keys,
                Asked::Keys | Asked::Level => Wanted::Sizes,
            }))
            .send()
            .await
            .map_err(RequestError::of)
    }

    /// What lies right below the prefix, page by page: days in ascending order, and what is no day.
    pub(crate) fn top(
        self: &Arc<Self>,
    ) -> impl Stream<Item = Result<TopPage, StorageError>> + Send + 'static {
        let bucket = Arc::clone(self);
        let prefix = self.layout.prefix().to_owned();
        Arc::clone(self).pages(prefix, Asked::Level, None).map_ok(move |page| {
            let mut found = TopPage::default();
            for folder in page.folders {
                match bucket.layout.day_of_folder(&folder) {
                    Some(day) => found.days.push(day),
                    None if bucket.layout.is_reserved(&folder) => {}
                    None => found.foreign.push(folder),
                }
            }
            let is_marker = |object: &Listed| object.size == 0 && object.key.ends_with('/');
            let foreign = page.objects.into_iter().filter(|object| !is_marker(object));
            found.foreign.extend(foreign.map(|object| object.key));
            found
        })
    }

    /// All days that have objects, ascending.
    pub(crate) async fn days(self: &Arc<Self>) -> Result<Vec<Day>, StorageError> {
        let add = |mut days: Vec<Day>, page: TopPage| async {
            days.extend(page.days);
            Ok(days)
        };
        self.top().try_fold(Vec::new(), add).await
    }

    /// What lies in `day`, page by page in the order of keys; `behind` skips keys up to it.
    pub(crate) fn day(
        self: &Arc<Self>,
        day: Day,
        behind: Option<String>,
    ) -> impl Stream<Item = Result<DayPage, StorageError>> + Send + 'static {
        let folder = self.layout.day(day);
        Arc::clone(self).pages(folder.clone(), Asked::Keys, behind).map_ok(move |page| {
            let mut found = DayPage::default();
            for object in page.objects {
                match place(&folder, &object.key, object.size) {
                    Place::Entry(id) => found.entries.push((id.to_owned(), object.size)),
                    Place::FolderMarker => {}
                    Place::Foreign => found.foreign.push(object.key),
                }
            }
            found
        })
    }

    /// How many entries there are, by their keys.
    pub(crate) async fn count(self: &Arc<Self>) -> Result<u64, StorageError> {
        let count = |day| {
            let folder = self.layout.day(day);
            // What has the folder's own name is no entry. Told to begin behind it, a server with
            // real folders, as SeaweedFS, goes straight into it rather than by the one above.
            Arc::clone(self).pages(folder.clone(), Asked::Endings, Some(folder)).try_fold(
                0_u64,
                async |sum, page| {
                    let entries = page.objects.iter().filter(|object| is_entry(&object.key));
                    Ok(sum + entries.count() as u64)
                },
            )
        };
        // The first thousand days are counted while the next are listed.
        self.top()
            .map_ok(|page| stream::iter(page.days.into_iter().map(Ok)))
            .try_flatten()
            .map_ok(count)
            .try_buffer_unordered(self.concurrency())
            .try_fold(0, async |sum, of_day| Ok(sum + of_day))
            .await
    }

    /// Those of `ids` that lie in `day`, found by its listing. It skips what lies between two of
    /// them, so it takes at most one request for each, or one for each page.
    pub(crate) async fn listed_of(
        &self,
        day: Day,
        ids: Vec<EntryId>,
    ) -> Result<Vec<EntryId>, StorageError> {
        let with_key = |id: EntryId| (self.layout.key(day, id.as_str()), id);
        let mut wanted: Vec<_> = ids.into_iter().map(with_key).collect();
        wanted.sort_unstable_by(|a, b| b.0.cmp(&a.0)); // the next one last
        let mut found = Vec::new();
        while let Some((first, _)) = wanted.last() {
            // Right before the key: what is shorter sorts earlier.
            let behind = first[..first.len() - 1].to_owned();
            let prefix = self.layout.day(day);
            let (mut page, mut next) = self.page(&prefix, Asked::Keys, Some(behind), None).await?;
            while page.objects.is_empty()
                && let Next::Token(token) = next
            {
                (page, next) = self.page(&prefix, Asked::Keys, None, Some(token)).await?;
            }
            let complete = matches!(next, Next::Done);
            let last = page.objects.last().map(|object| object.key.clone());
            let keys: HashSet<_> = page.objects.into_iter().map(|object| object.key).collect();
            while let Some((key, id)) = wanted
                .pop_if(|(key, _)| complete || last.as_ref().is_some_and(|last| &*key <= last))
            {
                if keys.contains(&key) {
                    found.push(id);
                }
            }
        }
        Ok(found)
    }
}

fn page(answer: ListObjectsV2Output) -> Page {
    let encoded = answer.encoding_type() == Some(&EncodingType::Url);
    let text = |text: Option<String>| {
        let text = text.unwrap_or_default();
        if encoded { decoded(text) } else { text }
    };
    let objects = answer.contents.into_iter().flatten().map(|object| Listed {
        size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        key: text(object.key),
    });
    let folders = answer.common_prefixes.into_iter().flatten().map(|folder| text(folder.prefix));
    Page { objects: objects.collect(), folders: folders.collect() }
}

/// A key as S3 encodes it on request: as a value in a form, so that `+` is a space.
fn decoded(text: String) -> String {
    if !text.contains(['+', '%']) {
        return text;
    }
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn keys_are_decoded_as_s3_encodes_them() {
        for (encoded, key) in [
            ("audit/2026-01-28/a.json", "audit/2026-01-28/a.json"),
            ("a+b%2Bc%2520", "a b+c%20"),
            ("%E6%97%A5%0A", "日\n"),
            ("100%", "100%"),
        ] {
            assert_eq!(decoded(encoded.to_owned()), key);
        }
    }
}
