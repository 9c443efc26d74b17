//! Query strings as [`Query`].

use std::borrow::Cow;

use attestry::{Cursor, MetadataCondition, Order, Query, Timestamp};
use http::Uri;

use super::problem::Problem;

/// The parameters of a request that selects entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) query: Query,
    /// Whether content is returned decrypted.
    pub(crate) decrypt: bool,
    /// Whether nothing is erased.
    pub(crate) dry_run: bool,
    /// The reason of an erasure.
    pub(crate) reason: Option<String>,
    /// Parameters of one route.
    extra: Vec<(String, String)>,
}

impl Parameters {
    /// Parses the query string of `uri`. Unknown and repeated parameters are errors: a misspelt condition must
    /// not select everything.
    pub(crate) fn parse(uri: &Uri) -> Result<Self, Problem> {
        Self::default().parse_more(uri, &[])
    }

    /// Those of a request without parameters, with `query` as the default.
    pub(crate) fn selecting(query: Query) -> Self {
        Self { query, ..Self::default() }
    }

    /// [`parse`](Self::parse), with these as defaults, and with parameters of one route.
    pub(crate) fn parse_more(self, uri: &Uri, extra: &[&str]) -> Result<Self, Problem> {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
        self.parse_pairs(pairs, extra)
    }

    /// [`parse_more`](Self::parse_more) of parameters that were parsed before.
    pub(crate) fn parse_pairs<'a>(
        mut self,
        pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
        extra: &[&str],
    ) -> Result<Self, Problem> {
        let mut seen: Vec<String> = Vec::new();
        for (key, value) in pairs {
            if key != "metadata" {
                if seen.iter().any(|seen| *seen == key) {
                    return Err(Problem::bad_request(format!("{key} is given twice")));
                }
                seen.push(key.clone().into_owned());
            }
            if extra.contains(&&*key) {
                self.extra.push((key.into_owned(), value.into_owned()));
            } else {
                self.set(&key, value.into_owned())?;
            }
        }
        Ok(self)
    }

    /// The value of a parameter of one route.
    pub(crate) fn extra(&self, key: &str) -> Option<&str> {
        self.extra.iter().find_map(|(given, value)| (given == key).then_some(value.as_str()))
    }

    /// Fails if there are parameters that do not select entries.
    pub(crate) fn must_only_select(&self) -> Result<(), Problem> {
        let query = &self.query;
        let is_page = query.limit.is_some() || query.after.is_some();
        if self.decrypt || self.dry_run || self.reason.is_some() || is_page {
            return Err(Problem::bad_request(
                "decrypt, dry_run, reason, limit and after are parameters of other routes",
            ));
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), Problem> {
        let query = std::mem::take(&mut self.query);
        self.query = match key {
            "since" => query.since(time(key, &value)?),
            "until" => query.until(time(key, &value)?),
            "provider" => query.provider(value),
            "model" => query.model(value),
            "conversation_id" => query.conversation_id(value),
            "safety_passed" => query.safety_passed(boolean(key, &value)?),
            "detector" => query.detector(value),
            "metadata" => {
                let mut query = query;
                let condition: MetadataCondition = value
                    .parse()
                    .map_err(|error| Problem::bad_request(format!("{key}: {error}")))?;
                query.metadata.push(condition);
                query
            }
            "text_contains" => query.text_contains(value),
            "phase" => query.phase(
                value.parse().map_err(|error| Problem::bad_request(format!("{key}: {error}")))?,
            ),
            "limit" => query.limit(number(key, &value)?),
            "order" => match value.as_str() {
                "ascending" => query.order(Order::Ascending),
                "descending" => query.order(Order::Descending),
                _ => return Err(invalid(key, "ascending or descending")),
            },
            "after" => {
                let cursor: Cursor = value
                    .parse()
                    .map_err(|error| Problem::bad_request(format!("{key}: {error}")))?;
                query.after(cursor)
            }
            "decrypt" => {
                self.decrypt = boolean(key, &value)?;
                query
            }
            "dry_run" => {
                self.dry_run = boolean(key, &value)?;
                query
            }
            "reason" => {
                self.reason = Some(value);
                query
            }
            _ => return Err(Problem::bad_request(format!("there is no parameter {key:?}"))),
        };
        Ok(())
    }
}

fn invalid(key: &str, expected: &str) -> Problem {
    Problem::bad_request(format!("{key}: expected {expected}"))
}

fn time(key: &str, value: &str) -> Result<Timestamp, Problem> {
    value.parse().map_err(|error| Problem::bad_request(format!("{key}: {error}")))
}

fn boolean(key: &str, value: &str) -> Result<bool, Problem> {
    value.parse().map_err(|_| invalid(key, "true or false"))
}

fn number(key: &str, value: &str) -> Result<usize, Problem> {
    value.parse().map_err(|_| invalid(key, "a number"))
}

#[cfg(test)]
mod tests {
    use attestry::Phase;

    use super::*;

    fn parse(query: &str) -> Result<Parameters, Problem> {
        Parameters::parse(&format!("/v1/entries?{query}").parse().unwrap())
    }

    #[test]
    fn every_condition_is_parsed() {
        let parsed = parse(
            "since=2026-01-28&until=2026-01-29T00%3A00%3A00&provider=a%20b&model=m&conversation_id=c&\
             safety_passed=false&detector=pii&metadata=user.id%3Du-17&metadata=trace_id&\
             text_contains=x&phase=latest&limit=5&order=descending&after=1970-01-01T00:00:00~a&decrypt=true",
        )
        .unwrap();
        let query = Query::new()
            .since("2026-01-28".parse::<Timestamp>().unwrap())
            .until("2026-01-29T00:00:00".parse::<Timestamp>().unwrap())
            .provider("a b")
            .model("m")
            .conversation_id("c")
            .safety_passed(false)
            .detector("pii")
            .metadata_equals("user.id", "u-17")
            .metadata_exists("trace_id")
            .text_contains("x")
            .phase(Phase::Latest)
            .limit(5)
            .order(Order::Descending)
            .after("1970-01-01T00:00:00~a".parse::<Cursor>().unwrap());
        assert_eq!(parsed, Parameters { query, decrypt: true, ..Parameters::default() });
        assert_eq!(parse("").unwrap(), Parameters::default());
    }

    #[test]
    fn errors_name_the_parameter() {
        for (query, expected) in [
            ("user=x", "there is no parameter \"user\""),
            ("model=a&model=b", "model is given twice"),
            ("since=soon", "since:"),
            ("limit=-1", "limit: expected a number"),
            ("safety_passed=1", "safety_passed: expected true or false"),
            ("metadata==x", "metadata:"),
            ("order=up", "order: expected ascending or descending"),
            ("after=x", "after:"),
            ("phase=middle", "phase:"),
        ] {
            let problem = parse(query).unwrap_err();
            assert!(problem.text().contains(expected), "{}", problem.text());
        }
    }
}
