//! Object keys: `{prefix}{YYYY-MM-DD}/{id}.json`.

use std::fmt;

use attestry_core::{EntryId, Timestamp};

/// The limit of S3.
const MAX_KEY_BYTES: usize = 1_024;
const MICROS_PER_DAY: i64 = 86_400_000_000;
const EXTENSION: &str = ".json";
/// Below the prefix, for objects of the store that are no entries.
const RESERVED: &str = ".attestry/";

/// A UTC day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i64);

impl Day {
    pub(crate) fn of(timestamp: Timestamp) -> Self {
        Self(timestamp.unix_micros().div_euclid(MICROS_PER_DAY))
    }

    /// Its first microsecond.
    pub(crate) fn start(self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.saturating_mul(MICROS_PER_DAY)).unwrap_or(Timestamp::MIN)
    }

    /// Its last microsecond.
    pub(crate) fn end(self) -> Timestamp {
        self.start().end_of_day()
    }

    /// The previous and the next day, within the range of [`Timestamp`].
    pub(crate) fn neighbours(self) -> impl Iterator<Item = Self> {
        let (first, last) = (Self::of(Timestamp::MIN), Self::of(Timestamp::MAX));
        [Self(self.0 - 1), Self(self.0 + 1)]
            .into_iter()
            .filter(move |day| (first..=last).contains(day))
    }

    /// Parses exactly what [`Display`](fmt::Display) writes.
    fn parse(text: &str) -> Option<Self> {
        let day = Self::of(text.parse().ok()?);
        (day.to_string() == text).then_some(day)
    }

    /// The day in the timestamp of `id`, if it is a UUID of version 7.
    pub(crate) fn from_uuid_v7(id: &EntryId) -> Option<Self> {
        let uuid = uuid::Uuid::try_parse(id.as_str()).ok()?;
        if uuid.get_version_num() != 7 {
            return None;
        }
        let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
        let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
        Some(Self::of(Timestamp::from_unix_micros(micros + i64::from(nanos / 1_000)).ok()?))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.start().date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Maps days and ids to keys below the store's prefix, and back.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    prefix: String,
}

/// What a key below the prefix of a day stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeyKind<'a> {
    /// An entry of this id.
    Entry(&'a str),
    /// An empty object whose key ends with a slash, as consoles create it for a folder.
    FolderMarker,
    Foreign,
}

impl Layout {
    /// Unless it is empty, the prefix gets exactly one trailing slash, as in the Python package.
    pub(crate) fn new(prefix: &str) -> Self {
        let prefix = match prefix {
            "" => String::new(),
            _ => format!("{}/", prefix.trim_end_matches('/')),
        };
        Self { prefix }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the key of the longest valid id fits into the limit of S3.
    pub(crate) fn fits_longest_id(&self) -> bool {
        self.key_len(EntryId::MAX_BYTES) <= MAX_KEY_BYTES
    }

    fn key_len(&self, id_len: usize) -> usize {
        self.prefix.len() + "YYYY-MM-DD/".len() + id_len + EXTENSION.len()
    }

    /// The prefix of all keys of `day`.
    pub(crate) fn day_prefix(&self, day: Day) -> String {
        format!("{}{day}/", self.prefix)
    }

    pub(crate) fn key(&self, day: Day, id: &str) -> String {
        format!("{}{day}/{id}{EXTENSION}", self.prefix)
    }

    /// A key that no entry can have.
    pub(crate) fn reserved_key(&self, name: &str) -> String {
        format!("{}{RESERVED}{name}", self.prefix)
    }

    /// Whether an object of this id can exist. Servers and proxies may normalise `.`, `..` and empty
    /// segments of a path, and the key would then name another object.
    pub(crate) fn may_contain(&self, id: &EntryId) -> bool {
        let is_normalised = id.as_str().split('/').any(|part| matches!(part, "" | "." | ".."));
        self.key_len(id.as_str().len()) <= MAX_KEY_BYTES && !is_normalised
    }

    /// The day of a common prefix that a listing returned.
    pub(crate) fn day_of_prefix(&self, common_prefix: &str) -> Option<Day> {
        Day::parse(common_prefix.strip_prefix(&self.prefix)?.strip_suffix('/')?)
    }

    /// Whether a common prefix holds objects of the store that are no entries.
    pub(crate) fn is_reserved(&self, common_prefix: &str) -> bool {
        common_prefix.strip_prefix(&self.prefix) == Some(RESERVED)
    }
}

/// Classifies a listed key by its name below `day_prefix` and its size.
pub(crate) fn classify<'a>(day_prefix: &str, key: &'a str, size: u64) -> KeyKind<'a> {
    let Some(name) = key.strip_prefix(day_prefix) else { return KeyKind::Foreign };
    match name.strip_suffix(EXTENSION) {
        Some(id) => KeyKind::Entry(id),
        None if size == 0 && (name.is_empty() || name.ends_with('/')) => KeyKind::FolderMarker,
        None => KeyKind::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    #[test]
    fn prefix_gets_one_trailing_slash() {
        for (given, expected) in
            [("", ""), ("a", "a/"), ("a/", "a/"), ("a//", "a/"), ("a/b/", "a/b/"), ("/", "/")]
        {
            assert_eq!(Layout::new(given).prefix(), expected, "{given:?}");
        }
    }

    #[test]
    fn keys_round_trip() {
        let layout = Layout::new("logs/audit");
        let january = day("2026-01-31");
        for id in ["a", "a b", "日本", "%2F", "x.json", "", "with/slash", ".."] {
            let key = layout.key(january, id);
            assert_eq!(key, format!("logs/audit/2026-01-31/{id}.json"));
            assert_eq!(classify(&layout.day_prefix(january), &key, 9), KeyKind::Entry(id));
            assert!(key > layout.day_prefix(january), "counting starts after the prefix");
        }
        assert_eq!(layout.day_of_prefix("logs/audit/2026-01-31/"), Some(january));
    }

    #[test]
    fn other_prefixes_are_no_days() {
        let layout = Layout::new("");
        for prefix in
            ["2026-02-30/", "2026-1-1/", "2026-01-01", "x/", "/", "2026-01-01T00:00/", "20260101/"]
        {
            assert_eq!(layout.day_of_prefix(prefix), None, "{prefix}");
        }
    }

    #[test]
    fn folder_markers_are_not_foreign() {
        let is_marker = |name: &str, size| {
            let key = format!("audit/2026-01-31/{name}");
            classify("audit/2026-01-31/", &key, size) == KeyKind::FolderMarker
        };
        assert!(is_marker("", 0) && is_marker("sub/", 0));
        assert!(!is_marker("", 1) && !is_marker("notes.txt", 0));
    }

    #[test]
    fn days_match_the_calendar() {
        for (timestamp, expected) in [
            ("0001-01-01", "0001-01-01"),
            ("1969-12-31T23:59:59.999999", "1969-12-31"),
            ("1970-01-01", "1970-01-01"),
            ("2024-02-29T23:59:59.999999", "2024-02-29"),
            ("9999-12-31T23:59:59.999999", "9999-12-31"),
        ] {
            let day = Day::of(timestamp.parse().unwrap());
            assert_eq!(day.to_string(), expected);
            assert_eq!(Day::parse(expected), Some(day));
            assert_eq!(day.start().to_string(), format!("{expected}T00:00:00"));
            assert_eq!(Day::of(day.end()), day);
        }
        assert_eq!(Day::of(Timestamp::MIN).neighbours().count(), 1);
        assert_eq!(Day::of(Timestamp::MAX).neighbours().count(), 1);
    }

    #[test]
    fn uuid_v7_contains_its_day() {
        let id = attestry_core::IdScheme::V7.create();
        let now = Day::of(Timestamp::now());
        let found = Day::from_uuid_v7(&id).unwrap();
        assert!(found == now || now.neighbours().any(|day| day == found));
        assert_eq!(Day::from_uuid_v7(&attestry_core::create_entry_id()), None);
        assert_eq!(Day::from_uuid_v7(&"no-uuid".parse().unwrap()), None);
    }

    #[test]
    fn ids_that_could_leave_the_prefix_are_refused() {
        let layout = Layout::new("audit");
        for (id, expected) in [
            ("a", true),
            ("a/b", true),
            ("..", false),
            ("../x", false),
            ("a/./b", false),
            ("/a", false),
            ("a//b", false),
        ] {
            assert_eq!(layout.may_contain(&EntryId::new_unchecked(id)), expected, "{id}");
        }
        assert!(!layout.may_contain(&EntryId::new_unchecked(&"x".repeat(2_000))));
        assert!(layout.fits_longest_id());
        assert!(!Layout::new(&"x".repeat(800)).fits_longest_id());
    }
}
