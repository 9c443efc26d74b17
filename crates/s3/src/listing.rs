//! Listing keys, in pages of at most 1,000.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use attestry_core::{EntryId, StorageError, Timestamp};
use aws_sdk_s3::operation::list_objects_v2::{ListObjectsV2, ListObjectsV2Output};
use aws_sdk_s3::types::EncodingType;
use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bucket::Bucket;
use crate::error::RequestError;
use crate::key::{Day, KeyKind, classify};
use crate::list_xml::ListParser;
use crate::response::CompleteBody;
use crate::task::abortable;

struct ListedObject {
    key: String,
    size: u64,
}

/// A page of a listing. With a delimiter, deeper keys are grouped into common prefixes.
struct Page {
    objects: Vec<ListedObject>,
    common_prefixes: Vec<String>,
}

/// A page of the objects of a day.
#[derive(Default)]
pub(crate) struct DayPage {
    /// Ids and lengths of the bodies.
    pub(crate) entries: Vec<(String, u64)>,
    /// Keys of objects that are no entries.
    pub(crate) foreign: Vec<String>,
}

/// A page of what lies directly below the store's prefix.
#[derive(Default)]
pub(crate) struct TopLevelPage {
    pub(crate) days: Vec<Day>,
    /// Keys and common prefixes of objects that are not in a day.
    pub(crate) foreign: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    AllKeys,
    /// Keys up to the next slash; those beyond are grouped.
    OneLevel,
}

/// The page to request next.
enum NextPage {
    First { start_after: Option<String> },
    Token(String),
    None,
}

/// Detects a listing that does not end.
#[derive(Default)]
struct Progress {
    pages: u64,
    /// Pages without a key, one after another.
    empty: u64,
    /// The keys of the page with this number, as their hash.
    mark: (u64, u64),
}

/// A billion keys of one day.
const MAX_PAGES: u64 = 1_000_000;

/// S3 gives empty pages where objects were deleted that have versions: one for 1,000 of them.
const MAX_EMPTY_PAGES: u64 = 100_000;

impl Progress {
    /// Fails at a page that was there before, which is noticed after at most twice as many pages as there are
    /// between the two, and where there are more pages than a bucket has.
    fn check(&mut self, page: &Page) -> Result<(), String> {
        self.pages += 1;
        let is_empty = page.objects.is_empty() && page.common_prefixes.is_empty();
        self.empty = if is_empty { self.empty + 1 } else { 0 };
        let mut hasher = DefaultHasher::new();
        page.objects.iter().for_each(|object| object.key.hash(&mut hasher));
        page.common_prefixes.hash(&mut hasher);
        let keys = hasher.finish();
        if !is_empty && self.pages > 1 && keys == self.mark.1 {
            return Err("the listing does not end: its pages repeat".to_owned());
        }
        if self.pages > MAX_PAGES || self.empty > MAX_EMPTY_PAGES {
            let pages = self.pages - 1;
            return Err(format!("the listing does not end: it has more than {pages} pages"));
        }
        // Brent's algorithm: the marked page is replaced whenever the number of pages has doubled.
        if !is_empty && self.pages >= 2 * self.mark.0 {
            self.mark = (self.pages, keys);
        }
        Ok(())
    }
}

impl Bucket {
    /// The pages of keys with `prefix`, in the order of keys, without those up to `start_after`.
    fn list(
        self: Arc<Self>,
        prefix: String,
        depth: Depth,
        start_after: Option<String>,
    ) -> impl Stream<Item = Result<Page, StorageError>> + Send + 'static {
        let start = (NextPage::First { start_after }, Progress::default());
        stream::try_unfold(start, move |(next, mut progress)| {
            let (bucket, prefix) = (Arc::clone(&self), prefix.clone());
            async move {
                let (start_after, token) = match next {
                    NextPage::First { start_after } => (start_after, None),
                    NextPage::Token(token) => (None, Some(token)),
                    NextPage::None => return Ok(None),
                };
                let page = async move {
                    let (page, next) = bucket.list_page(&prefix, depth, start_after, token).await?;
                    let checked = progress.check(&page);
                    checked.map_err(|reason| {
                        bucket.failed("list", &prefix, RequestError::other(reason))
                    })?;
                    Ok((page, (next, progress)))
                };
                // On a task: a stream that is not polled must not hold the permit of its request.
                abortable(page).await.map(Some)
            }
        })
    }

    async fn list_page(
        &self,
        prefix: &str,
        depth: Depth,
        start_after: Option<String>,
        token: Option<String>,
    ) -> Result<(Page, NextPage), StorageError> {
        let _permit = self.permit().await?;
        let failed = |error| self.failed("list", prefix, error);
        let (start_after, token) = (start_after.as_deref(), token.as_deref());
        let request = || self.try_list_page(prefix, depth, start_after, token);
        let response = self.attempts().run(request).await.map_err(failed)?;
        let next = match response.next_continuation_token() {
            _ if response.is_truncated() != Some(true) => NextPage::None,
            Some(new) if token != Some(new) => NextPage::Token(new.to_owned()),
            // Taken for the last page, it would hide all keys after it.
            _ => {
                let reason = "the listing is truncated and has no new continuation token";
                return Err(failed(RequestError::other(reason)));
            }
        };
        Ok((page(response), next))
    }

    async fn try_list_page(
        &self,
        prefix: &str,
        depth: Depth,
        start_after: Option<&str>,
        token: Option<&str>,
    ) -> Result<ListObjectsV2Output, RequestError> {
        self.client()
            .list_objects_v2()
            .bucket(self.name())
            .prefix(prefix)
            // Keys may contain characters that XML does not allow.
            .encoding_type(EncodingType::Url)
            .set_delimiter((depth == Depth::OneLevel).then(|| "/".to_owned()))
            .set_start_after(start_after.map(str::to_owned))
            .set_continuation_token(token.map(str::to_owned))
            .customize()
            .interceptor(CompleteBody::with_parser(ListObjectsV2::new(), ListParser))
            .send()
            .await
            .map_err(RequestError::from_sdk)
    }

    /// The days, in ascending order, and the foreign objects directly below the prefix.
    pub(crate) fn list_top_level(
        self: &Arc<Self>,
    ) -> impl Stream<Item = Result<TopLevelPage, StorageError>> + Send + 'static {
        let bucket = Arc::clone(self);
        let prefix = self.layout.prefix().to_owned();
        Arc::clone(self).list(prefix, Depth::OneLevel, None).map_ok(move |page| {
            let mut found = TopLevelPage::default();
            for prefix in page.common_prefixes {
                match bucket.layout.day_of_prefix(&prefix) {
                    Some(day) => found.days.push(day),
                    None if bucket.layout.is_reserved(&prefix) => {}
                    None => found.foreign.push(prefix),
                }
            }
            let is_marker = |object: &ListedObject| object.size == 0 && object.key.ends_with('/');
            let foreign = page.objects.into_iter().filter(|object| !is_marker(object));
            found.foreign.extend(foreign.map(|object| object.key));
            found
        })
    }

    /// All days that have objects, in ascending order.
    pub(crate) async fn days(self: &Arc<Self>) -> Result<Vec<Day>, StorageError> {
        let extend = |mut days: Vec<Day>, page: TopLevelPage| async {
            days.extend(page.days);
            Ok(days)
        };
        self.list_top_level().try_fold(Vec::new(), extend).await
    }

    /// The objects of `day` in the order of keys, without those up to the key `start_after`.
    pub(crate) fn list_day(
        self: &Arc<Self>,
        day: Day,
        start_after: Option<String>,
    ) -> impl Stream<Item = Result<DayPage, StorageError>> + Send + 'static {
        let prefix = self.layout.day_prefix(day);
        Arc::clone(self).list(prefix.clone(), Depth::AllKeys, start_after).map_ok(move |page| {
            let mut found = DayPage::default();
            for object in page.objects {
                match classify(&prefix, &object.key, object.size) {
                    KeyKind::Entry(id) => found.entries.push((id.to_owned(), object.size)),
                    KeyKind::FolderMarker => {}
                    KeyKind::Foreign => found.foreign.push(object.key),
                }
            }
            found
        })
    }

    /// The number of entries, by their keys.
    pub(crate) async fn count(self: &Arc<Self>) -> Result<u64, StorageError> {
        let count = |day| {
            // Skips the folder marker. Servers with real directories, such as SeaweedFS, then list the
            // directory itself instead of filtering its parent.
            let start_after = Some(self.layout.day_prefix(day));
            self.list_day(day, start_after)
                .try_fold(0_u64, async |count, page| Ok(count + page.entries.len() as u64))
        };
        // The days of the first page are counted while the next page is requested.
        self.list_top_level()
            .map_ok(|page| stream::iter(page.days.into_iter().map(Ok)))
            .try_flatten()
            .map_ok(count)
            .try_buffer_unordered(self.concurrency())
            .try_fold(0, async |sum, of_day| Ok(sum + of_day))
            .await
    }

    /// How many entries are stored in the days that end by `cutoff`.
    pub(crate) async fn count_until(
        self: &Arc<Self>,
        cutoff: Timestamp,
    ) -> Result<u64, StorageError> {
        let days = self.days().await?.into_iter().filter(|day| day.end() <= cutoff);
        let count = days.map(|day| {
            self.list_day(day, Some(self.layout.day_prefix(day)))
                .try_fold(0_u64, async |count, page| Ok(count + page.entries.len() as u64))
        });
        stream::iter(count)
            .buffer_unordered(self.concurrency())
            .try_fold(0, async |sum, of_day| Ok(sum + of_day))
            .await
    }

    /// Those of `ids` that are stored in `day`. Lists the day and skips the keys between two ids, so it
    /// takes at most one request for each id, and at most one for each page.
    pub(crate) async fn stored_ids(
        &self,
        day: Day,
        ids: Vec<EntryId>,
    ) -> Result<Vec<EntryId>, StorageError> {
        let with_key = |id: EntryId| (self.layout.key(day, id.as_str()), id);
        let mut wanted: Vec<_> = ids.into_iter().map(with_key).collect();
        wanted.sort_unstable_by(|a, b| b.0.cmp(&a.0)); // descending, as they are popped from the end
        let mut found = Vec::new();
        let mut progress = Progress::default();
        let failed = |reason: String| {
            self.failed("list", &self.layout.day_prefix(day), RequestError::other(reason))
        };
        while let Some((first, _)) = wanted.last() {
            // Sorts before the key itself.
            let start_after = first[..first.len() - 1].to_owned();
            let prefix = self.layout.day_prefix(day);
            let (mut page, mut next) =
                self.list_page(&prefix, Depth::AllKeys, Some(start_after), None).await?;
            progress.check(&page).map_err(failed)?;
            while page.objects.is_empty()
                && let NextPage::Token(token) = next
            {
                (page, next) = self.list_page(&prefix, Depth::AllKeys, None, Some(token)).await?;
                progress.check(&page).map_err(failed)?;
            }
            let is_last = matches!(next, NextPage::None);
            let last = page.objects.last().map(|object| object.key.clone());
            let keys: HashSet<_> = page.objects.into_iter().map(|object| object.key).collect();
            while let Some((key, id)) =
                wanted.pop_if(|(key, _)| is_last || last.as_ref().is_some_and(|last| &*key <= last))
            {
                if keys.contains(&key) {
                    found.push(id);
                }
            }
        }
        Ok(found)
    }
}

fn page(response: ListObjectsV2Output) -> Page {
    // Servers may ignore the requested encoding.
    let is_encoded = response.encoding_type() == Some(&EncodingType::Url);
    let decode = |text: Option<String>| {
        let text = text.unwrap_or_default();
        if is_encoded { url_decode(text) } else { text }
    };
    let objects = response.contents.into_iter().flatten().map(|object| ListedObject {
        size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        key: decode(object.key),
    });
    let objects = objects.collect();
    let prefixes = response.common_prefixes.into_iter().flatten();
    Page { objects, common_prefixes: prefixes.map(|prefix| decode(prefix.prefix)).collect() }
}

/// Decodes a key with `EncodingType::Url`, which S3 encodes as a form value: `+` is a space.
fn url_decode(text: String) -> String {
    if !text.contains(['+', '%']) {
        return text;
    }
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_without_progress_ends() {
        let page = |keys: &[u64]| {
            let objects = keys.iter().map(|key| ListedObject { key: key.to_string(), size: 0 });
            Page { objects: objects.collect(), common_prefixes: Vec::new() }
        };
        // The number of pages up to the error.
        let pages = |make: &dyn Fn(u64) -> Page| {
            let mut progress = Progress::default();
            (1..=MAX_PAGES + 1).find(|number| progress.check(&make(*number)).is_err()).unwrap()
        };
        assert_eq!(pages(&|_| page(&[7])), 2);
        for cycle in 2..40 {
            assert!(pages(&|number| page(&[number % cycle])) <= 4 * cycle, "{cycle}");
        }
        // The first pages are no part of the cycle.
        assert!(pages(&|number| page(&[number.min(1_000)])) <= 2_050);
        assert_eq!(pages(&|_| page(&[])), MAX_EMPTY_PAGES + 1);
        assert_eq!(pages(&|number| page(&[number])), MAX_PAGES + 1);
    }

    #[test]
    fn keys_are_decoded_as_form_values() {
        for (encoded, key) in [
            ("audit/2026-01-28/a.json", "audit/2026-01-28/a.json"),
            ("a+b%2Bc%2520", "a b+c%20"),
            ("%E6%97%A5%0A", "日\n"),
            ("100%", "100%"),
        ] {
            assert_eq!(url_decode(encoded.to_owned()), key);
        }
    }
}
