//! The range that a reader picks.

use std::time::Duration;

use attestry::Timestamp;
use http::Uri;
use maud::{Markup, html};

use crate::http::problem::Problem;
use crate::overview::Wanted;
use crate::overview::time::Range;
use crate::viewer::pages::moment::moment;
use crate::viewer::strings::overview as strings;
use crate::viewer::text::time;
use crate::viewer::url;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// The names of ranges up to now, and their length in seconds.
const PRESETS: [(&str, &str, u64); 6] = [
    ("1h", "1 hour", HOUR),
    ("24h", "24 hours", DAY),
    ("7d", "7 days", 7 * DAY),
    ("30d", "30 days", 30 * DAY),
    ("90d", "90 days", 90 * DAY),
    ("1y", "1 year", 365 * DAY),
];
/// The one that is shown first.
const DEFAULT: u64 = 7 * DAY;
const ALL: &str = "all";

/// What the address says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Picked {
    /// Nothing.
    Default,
    All,
    /// The last so many seconds.
    Last(u64),
    Exact(Timestamp, Timestamp),
}

impl Picked {
    pub(super) fn parse(uri: &Uri) -> Result<Self, Problem> {
        let (mut last, mut since, mut until) = (None, None, None);
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()) {
            // An empty field of the form is none.
            if value.is_empty() {
                continue;
            }
            match &*key {
                "last" => last = Some(preset(&value)?),
                "since" => since = Some(moment("since", &value)?),
                "until" => until = Some(moment("until", &value)?),
                _ => return Err(Problem::bad_request(format!("there is no parameter {key:?}"))),
            }
        }
        match (last, since, until) {
            (Some(last), None, None) => Ok(last),
            (None, None, None) => Ok(Self::Default),
            (None, since, until) => {
                let since = since.unwrap_or(Timestamp::MIN);
                let until = until.unwrap_or_else(|| Timestamp::now().max(since));
                if since > until {
                    return Err(Problem::bad_request("since is after until"));
                }
                Ok(Self::Exact(since, until))
            }
            _ => Err(Problem::bad_request("last excludes since and until")),
        }
    }

    pub(super) fn wanted(self) -> Wanted {
        match self {
            Self::Default => Wanted::Last(Duration::from_secs(DEFAULT)),
            Self::Last(seconds) => Wanted::Last(Duration::from_secs(seconds)),
            Self::All => Wanted::All,
            Self::Exact(since, until) => Wanted::Range(since, until),
        }
    }
}

fn preset(name: &str) -> Result<Picked, Problem> {
    if name == ALL {
        return Ok(Picked::All);
    }
    let known = PRESETS.iter().find(|(known, ..)| *known == name);
    known.map(|(.., seconds)| Picked::Last(*seconds)).ok_or_else(|| {
        let names: Vec<&str> = PRESETS.iter().map(|(name, ..)| *name).collect();
        Problem::bad_request(format!("last: expected {} or {ALL}", names.join(", ")))
    })
}

pub(super) fn url_of_all() -> String {
    url_of(ALL)
}

fn url_of(preset: &str) -> String {
    url::with_query(url::OVERVIEW, &[("last", preset)])
}

/// Links for the usual ranges, and a form for exact times.
pub(super) fn picker(picked: Picked, shown: Range) -> Markup {
    let is_current = |seconds: u64| {
        picked == Picked::Last(seconds) || (picked == Picked::Default && seconds == DEFAULT)
    };
    let is_exact = matches!(picked, Picked::Exact(..));
    html! {
        nav.ranges aria-label=(strings::RANGE) {
            ul {
                @for (name, label, seconds) in PRESETS {
                    li { a href=(url_of(name)) aria-current=[is_current(seconds).then_some("true")] { (label) } }
                }
                li { a href=(url_of_all()) aria-current=[(picked == Picked::All).then_some("true")] { (strings::ALL) } }
            }
        }
        p.soft { (strings::SHOWN) " " (time(shown.since())) " – " (time(shown.until())) "." }
        details.panel open[is_exact] {
            summary { (strings::EXACT) }
            form.filters method="get" action=(url::OVERVIEW) data-times data-utc=(strings::UTC) data-local=(strings::LOCAL) {
                (field("since", strings::FROM, shown.since()))
                (field("until", strings::TO, shown.until()))
                div { button.primary type="submit" { (strings::SHOW) } }
                p.help.wide { (strings::WHOLE_HOURS) }
            }
        }
    }
}

/// A field for a time, in minutes. The script shows it in the zone of the browser, and sends it in UTC.
fn field(name: &str, label: &str, value: Timestamp) -> Markup {
    let mut value = value.to_string();
    value.truncate("2026-01-28T09:15".len());
    html! {
        label {
            (label) " (" span data-zone-name { (strings::UTC) } ")"
            input type="datetime-local" name=(name) value=(value) max="9999-12-31T23:59";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(query: &str) -> Result<Picked, Problem> {
        Picked::parse(&format!("/?{query}").parse().unwrap())
    }

    #[test]
    fn ranges_are_parsed() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let (since, until) = (time("2026-01-28T09:15:00"), time("2026-01-29T00:00:00"));
        assert_eq!(picked("").unwrap(), Picked::Default);
        assert_eq!(picked("last=24h&since=&until=").unwrap(), Picked::Last(DAY));
        assert_eq!(picked("last=all").unwrap(), Picked::All);
        for query in [
            "since=2026-01-28T09%3A15&until=2026-01-29T00%3A00",
            "since=2026-01-28T09:15:00Z&until=2026-01-29",
            "since=2026-01-28T10:15:00%2B01:00&until=2026-01-29T00:00:00",
        ] {
            assert_eq!(picked(query).unwrap(), Picked::Exact(since, until), "{query}");
        }
        assert_eq!(picked("until=2026-01-29").unwrap(), Picked::Exact(Timestamp::MIN, until));
        for (query, expected) in [
            ("last=2d", "last: expected 1h, 24h"),
            ("last=1h&since=2026-01-28", "last excludes"),
            ("since=soon", "since:"),
            ("since=2026-01-29&until=2026-01-28", "since is after until"),
            ("model=x", "there is no parameter \"model\""),
        ] {
            let problem = picked(query).unwrap_err();
            assert!(problem.text().contains(expected), "{query}: {}", problem.text());
        }
    }
}
