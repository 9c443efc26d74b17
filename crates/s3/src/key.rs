//! Where an entry lies in the bucket: `{prefix}{YYYY-MM-DD}/{id}.json`.

use std::fmt;

use attestry_core::{EntryId, Timestamp};

/// S3 allows no longer key.
const MAX_KEY_BYTES: usize = 1_024;
const MICROS_PER_DAY: i64 = 86_400_000_000;
const ENDING: &str = ".json";
/// Below the prefix, for what is ours and no entry.
const RESERVED: &str = ".attestry/";

/// A UTC day, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i64);

impl Day {
    pub(crate) fn of(moment: Timestamp) -> Self {
        Self(moment.unix_micros().div_euclid(MICROS_PER_DAY))
    }

    /// Its first microsecond.
    pub(crate) fn start(self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.saturating_mul(MICROS_PER_DAY)).unwrap_or(Timestamp::MIN)
    }

    /// Its last microsecond.
    pub(crate) fn end(self) -> Timestamp {
        self.start().end_of_day()
    }

    /// The days before and behind it, as far as there are any.
    pub(crate) fn neighbours(self) -> impl Iterator<Item = Self> {
        let (first, last) = (Self::of(Timestamp::MIN), Self::of(Timestamp::MAX));
        [Self(self.0 - 1), Self(self.0 + 1)]
            .into_iter()
            .filter(move |day| (first..=last).contains(day))
    }

    /// Reads exactly what [`Display`](fmt::Display) writes.
    fn parse(text: &str) -> Option<Self> {
        let day = Self::of(text.parse().ok()?);
        (day.to_string() == text).then_some(day)
    }

    /// The day on which a UUID of version 7 was made, where `id` is one.
    pub(crate) fn within(id: &EntryId) -> Option<Self> {
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

/// The part of the bucket that belongs to the store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    prefix: String,
}

/// What a key below a day's prefix is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// An entry of this id.
    Entry(&'a str),
    /// What consoles make to show an empty folder. Holds nothing.
    FolderMarker,
    Foreign,
}

impl Layout {
    /// The prefix gets exactly one slash at its end, unless it is empty, as in Python.
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

    /// Whether keys of the longest id fit.
    pub(crate) fn is_short_enough(&self) -> bool {
        self.prefix.len() + "YYYY-MM-DD/".len() + EntryId::MAX_BYTES + ENDING.len() <= MAX_KEY_BYTES
    }

    /// What all keys of `day` begin with.
    pub(crate) fn day(&self, day: Day) -> String {
        format!("{}{day}/", self.prefix)
    }

    pub(crate) fn key(&self, day: Day, id: &str) -> String {
        format!("{}{day}/{id}{ENDING}", self.prefix)
    }

    /// A key that no entry has.
    pub(crate) fn reserved(&self, name: &str) -> String {
        format!("{}{RESERVED}{name}", self.prefix)
    }

    /// Whether an object of this id can be in the bucket. Servers and proxies may fold `..` and
    /// empty parts of a key, which would then name another object.
    pub(crate) fn may_hold(&self, id: &EntryId) -> bool {
        let length = self.prefix.len() + "YYYY-MM-DD/".len() + id.as_str().len() + ENDING.len();
        let folds = id.as_str().split('/').any(|part| matches!(part, "" | "." | ".."));
        length <= MAX_KEY_BYTES && !folds
    }

    /// The day that `folder`, a common prefix, is for.
    pub(crate) fn day_of_folder(&self, folder: &str) -> Option<Day> {
        Day::parse(folder.strip_prefix(&self.prefix)?.strip_suffix('/')?)
    }

    /// Whether `folder` is ours though no day.
    pub(crate) fn is_reserved(&self, folder: &str) -> bool {
        folder.strip_prefix(&self.prefix) == Some(RESERVED)
    }
}

/// What `key`, which lies in `folder`, that of a day, is.
pub(crate) fn place<'a>(folder: &str, key: &'a str, size: u64) -> Place<'a> {
    let Some(name) = key.strip_prefix(folder) else { return Place::Foreign };
    match name.strip_suffix(ENDING) {
        Some(id) => Place::Entry(id),
        None if size == 0 && (name.is_empty() || name.ends_with('/')) => Place::FolderMarker,
        None => Place::Foreign,
    }
}

/// Whether a key that lies in the folder of a day is that of an entry, as [`place`] has it. Goes by
/// how it ends, so that the rest may be as a server makes it fit for XML.
pub(crate) fn is_entry(key: &str) -> bool {
    key.ends_with(ENDING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    #[test]
    fn the_prefix_gets_one_slash() {
        for (given, expected) in
            [("", ""), ("a", "a/"), ("a/", "a/"), ("a//", "a/"), ("a/b/", "a/b/"), ("/", "/")]
        {
            assert_eq!(Layout::new(given).prefix(), expected, "{given:?}");
        }
    }

    #[test]
    fn keys_lead_back_to_their_entry() {
        let layout = Layout::new("logs/audit");
        let january = day("2026-01-31");
        for id in ["a", "a b", "日本", "%2F", "x.json", "", "with/slash", ".."] {
            let key = layout.key(january, id);
            assert_eq!(key, format!("logs/audit/2026-01-31/{id}.json"));
            assert_eq!(place(&layout.day(january), &key, 9), Place::Entry(id));
            assert!(is_entry(&key));
            assert!(key > layout.day(january), "counting begins behind the folder's name");
        }
        assert_eq!(layout.day_of_folder("logs/audit/2026-01-31/"), Some(january));
    }

    #[test]
    fn what_is_no_day_is_none() {
        let layout = Layout::new("");
        for folder in
            ["2026-02-30/", "2026-1-1/", "2026-01-01", "x/", "/", "2026-01-01T00:00/", "20260101/"]
        {
            assert_eq!(layout.day_of_folder(folder), None, "{folder}");
        }
    }

    #[test]
    fn markers_are_told_from_foreign_objects() {
        let is_marker = |name: &str, size| {
            let key = format!("audit/2026-01-31/{name}");
            place("audit/2026-01-31/", &key, size) == Place::FolderMarker
        };
        assert!(is_marker("", 0) && is_marker("sub/", 0));
        assert!(!is_marker("", 1) && !is_marker("notes.txt", 0));
        assert!(!is_entry("audit/2026-01-31/") && !is_entry("audit/2026-01-31/notes.txt"));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (moment, expected) in [
            ("0001-01-01", "0001-01-01"),
            ("1969-12-31T23:59:59.999999", "1969-12-31"),
            ("1970-01-01", "1970-01-01"),
            ("2024-02-29T23:59:59.999999", "2024-02-29"),
            ("9999-12-31T23:59:59.999999", "9999-12-31"),
        ] {
            let day = Day::of(moment.parse().unwrap());
            assert_eq!(day.to_string(), expected);
            assert_eq!(Day::parse(expected), Some(day));
            assert_eq!(day.start().to_string(), format!("{expected}T00:00:00"));
            assert_eq!(Day::of(day.end()), day);
        }
        assert_eq!(Day::of(Timestamp::MIN).neighbours().count(), 1);
        assert_eq!(Day::of(Timestamp::MAX).neighbours().count(), 1);
    }

    #[test]
    fn ids_of_version_7_tell_their_day() {
        let id = attestry_core::IdScheme::V7.create();
        let now = Day::of(Timestamp::now());
        let told = Day::within(&id).unwrap();
        assert!(told == now || now.neighbours().any(|day| day == told));
        assert_eq!(Day::within(&attestry_core::create_entry_id()), None);
        assert_eq!(Day::within(&"no-uuid".parse().unwrap()), None);
    }

    #[test]
    fn what_could_leave_the_folder_is_not_looked_for() {
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
            assert_eq!(layout.may_hold(&EntryId::new_unchecked(id)), expected, "{id}");
        }
        assert!(!layout.may_hold(&EntryId::new_unchecked(&"x".repeat(2_000))));
        assert!(layout.is_short_enough());
        assert!(!Layout::new(&"x".repeat(800)).is_short_enough());
    }
}
