//! What an address of the list selects, and addresses that select it.

use std::borrow::Cow;

use attestry::{Cursor, Order, Phase, Query};
use http::Uri;
use serde_json::Value;

use super::columns::{self, Column};
use crate::http::problem::Problem;
use crate::http::query_string::Parameters;

pub(super) const COLUMN: &str = "column";
pub(super) const BEFORE: &str = "before";
/// `search=all` searches everything, however long that takes.
pub(super) const SEARCH: &str = "search";
pub(super) const ALL: &str = "all";

/// What an address of the list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) query: Query,
    pub(super) columns: Vec<Column>,
    /// Only entries before this position, in the order of the query: the page before another one.
    pub(super) before: Option<Cursor>,
    /// Whether the search may take long.
    pub(super) searches_all: bool,
    /// Parameters of one route.
    extra: Vec<(String, String)>,
    /// Whether the address has fields of a form that were left empty.
    pub(super) has_empty: bool,
}

impl Selection {
    /// Parses an address: each call once and the newest first, unless it says otherwise.
    pub(super) fn parse(uri: &Uri, extra: &[&str]) -> Result<Self, Problem> {
        let (mut names, mut before, mut has_empty) = (Vec::new(), None, false);
        let mut searches_all = false;
        let mut rest: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()) {
            match &*key {
                _ if value.is_empty() => has_empty = true,
                COLUMN => names.push(value.into_owned()),
                BEFORE => {
                    let cursor: Cursor = value
                        .parse()
                        .map_err(|error| Problem::bad_request(format!("{BEFORE}: {error}")))?;
                    before = Some(cursor);
                }
                SEARCH if value == ALL => searches_all = true,
                SEARCH => return Err(Problem::bad_request("search: expected all")),
                _ => rest.push((key, value)),
            }
        }
        let usual = Query::new().order(Order::Descending).phase(Phase::Latest);
        let parameters = Parameters::selecting(usual).parse_pairs(rest.into_iter(), extra)?;
        if parameters.decrypt || parameters.dry_run || parameters.reason.is_some() {
            return Err(Problem::bad_request(
                "decrypt, dry_run and reason are parameters of other routes",
            ));
        }
        let found = |key: &&str| Some((key.to_string(), parameters.extra(key)?.to_owned()));
        let extra = extra.iter().filter_map(found).collect();
        let (query, columns) = (parameters.query, columns::chosen(&names));
        Ok(Self { query, columns, before, searches_all, extra, has_empty })
    }

    /// The value of a parameter of one route.
    pub(super) fn extra(&self, key: &str) -> Option<&str> {
        self.extra.iter().find_map(|(known, value)| (known == key).then_some(&**value))
    }

    /// The parameters of the conditions and their order, in the names of the API.
    pub(super) fn conditions(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let value = serde_json::to_value(&self.query).unwrap_or_default();
        for (key, value) in value.as_object().into_iter().flatten() {
            match value {
                Value::Null => {}
                _ if matches!(&**key, "after" | "limit") => {}
                Value::Array(values) => {
                    pairs.extend(values.iter().map(|value| (key.clone(), text(value))));
                }
                value => pairs.push((key.clone(), text(value))),
            }
        }
        if self.query.phase == Phase::All {
            pairs.push(("phase".to_owned(), Phase::All.to_string()));
        }
        pairs
    }

    /// Whether it selects less than each call once.
    pub(super) fn has_conditions(&self) -> bool {
        let is_usual = |key: &str, value: &str| {
            key == "order" || (key == "phase" && value == Phase::Latest.to_string())
        };
        self.conditions().iter().any(|(key, value)| !is_usual(key, value))
    }

    /// The address below `path` that selects the same, with these parameters more.
    pub(super) fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut pairs = form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1);
        pairs.extend_pairs(self.conditions());
        if let Some(limit) = self.query.limit {
            pairs.append_pair("limit", &limit.to_string());
        }
        if self.columns != columns::usual() {
            let names: Vec<_> = self.columns.iter().map(Column::name).collect();
            pairs.append_pair(COLUMN, &names.join(","));
        }
        pairs.extend_pairs(more);
        pairs.finish()
    }

    /// The same entries in the other order.
    pub(super) fn reversed(&self) -> Self {
        let order = match self.query.order {
            Order::Ascending => Order::Descending,
            Order::Descending => Order::Ascending,
        };
        Self { query: self.query.clone().order(order), ..self.clone() }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Selection {
        Selection::parse(&format!("/entries?{query}").parse().unwrap(), &[]).unwrap()
    }

    #[test]
    fn every_condition_is_in_the_address_again() {
        for query in [
            "",
            "since=2026-01-28&until=2026-01-29T00:00:00&provider=a%20b%26&model=m&conversation_id=c%2F%C3%A4",
            "safety_passed=false&detector=pii&metadata=user.id%3Du-17&metadata=trace_id&metadata=n%3D5",
            "text_contains=%3Cb%3E%00&phase=all&limit=5&order=ascending",
            "phase=open&column=id,model,metadata:team&column=tenant",
            "column=metadata:a%252Cb%2525c,id",
        ] {
            let selection = parse(query);
            let address = selection.address("/entries", &[]);
            let again = Selection::parse(&address.parse().unwrap(), &[]).unwrap();
            assert_eq!(again, selection, "{address}");
        }
        assert_eq!(parse("").query.phase, Phase::Latest);
        for query in
            ["", "order=ascending&limit=20", "column=id&search=all&after=2026-01-28T00:00:00~a"]
        {
            assert!(!parse(query).has_conditions(), "{query}");
        }
        for query in ["model=m", "phase=all", "phase=start", "since=2026-01-28", "text_contains=x"]
        {
            assert!(parse(query).has_conditions(), "{query}");
        }
        assert_eq!(parse("phase=all").query.phase, Phase::All);
    }

    #[test]
    fn name_of_a_column_may_have_a_comma() {
        let columns = parse("column=metadata:a%252Cb,metadata:100%25").columns;
        let keys = ["a,b", "100%"].map(|key| Column::Metadata(key.to_owned()));
        assert_eq!(columns, keys);
    }

    #[test]
    fn empty_fields_of_a_form_are_no_conditions() {
        let form = parse("model=&since=&provider=openai&metadata=&column=");
        assert!(form.has_empty);
        assert_eq!(Selection { has_empty: false, ..form }, parse("provider=openai"));
    }
}
