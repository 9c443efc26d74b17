//! The table and the plots of `docs/performance.md`: a selection from a whole run.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::{plots, results};
use crate::cmd::Result;
use crate::workspace::Workspace;

pub(super) const PAGE: &str = "docs/performance.md";

/// The plots, from the root and from the page.
const PLOTS: &str = "docs/plots";
const FROM_PAGE: &str = "plots";

const BEGIN: &str = "<!-- bench: begin -->";
const END: &str = "<!-- bench: end -->";

/// The rows of the page, at most 20: the row, and the first words of what is measured and of what it is compared with.
const SELECTED: &[(&str, &str, &str)] = &[
    ("durable", "durable log, 256 tasks", "R"),
    ("durable", "durable log, 1,024 tasks", "R"),
    ("durable", "durable log, 1,024 tasks", "redb"),
    ("durable", "durable log, 1,024 tasks", "fjall"),
    ("durable", "durable log, 1,024 tasks", "SQLite"),
    ("writers", "durable log, one writer", ""),
    ("latency", "durable log, 256 tasks, p99 at half of the peak", "the plainest"),
    ("single", "durable log, one caller in main", ""),
    ("buffered", "buffered log, one caller", "hash"),
    ("encrypt", "EncryptionManager::encrypt", "Python cryptography"),
    ("evidence", "durable log with evidence", ""),
    ("evidence", "verify", ""),
    ("python", "import of 100,000 interactions, hash", ""),
    ("get", "get_entry by random id", "redb"),
    ("scan", "scan of 1 %", ""),
    ("open", "open with indexes", ""),
    ("delete", "delete of one", ""),
    ("memory", "resident", ""),
    ("cleanup", "cleanup_expired", ""),
];

/// Writes the selected rows and the plots of a whole run into the page.
pub(super) fn write(workspace: &Workspace, kind: &str, result: &Value) -> Result {
    let rows = result["rows"].as_array().ok_or("the result has no rows")?;
    let mut text = format!(
        "\n{}\n",
        results::table(selected(rows)?, &results::conditions(result, kind)?)?.trim_end()
    );
    write!(text, "\nAll rows: [{0}.md](../{1}).\n\n", kind, results::path(kind))?;
    for plot in plots::of(rows) {
        let file = format!("{}.svg", plot.name);
        writeln!(text, "![{}]({FROM_PAGE}/{file})\n", plot.chart.title)?;
        results::write_whole(&workspace.path(PLOTS).join(file), &plot.chart.svg()?)?;
    }
    let page = workspace.path(PAGE);
    let old = fs::read_to_string(&page).map_err(|error| format!("cannot read {PAGE}: {error}"))?;
    let new =
        replaced(&old, &text).ok_or_else(|| format!("{PAGE} has no marks {BEGIN} and {END}"))?;
    results::write_whole(&page, &new)
}

fn selected(rows: &[Value]) -> Result<Vec<&Value>> {
    let find = |(name, what, reference): &(&str, &str, &str)| {
        let begins = |value: &Value, start: &str| value.as_str().unwrap_or("").starts_with(start);
        let row = rows.iter().find(|row| {
            row["row"] == *name
                && begins(&row["what"], what)
                && begins(&row["reference"]["name"], reference)
        });
        row.ok_or_else(|| format!("the result has no row {name}: {what}, {reference}").into())
    };
    SELECTED.iter().map(find).collect()
}

fn replaced(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page_has_at_most_20_rows() {
        assert!(SELECTED.len() <= 20);
        let mut rows: Vec<Value> = SELECTED
            .iter()
            .map(|(row, what, reference)| json!({"row": row, "what": format!("{what}, x"), "reference": {"name": reference}}))
            .collect();
        assert_eq!(selected(&rows).unwrap().len(), SELECTED.len());
        rows.pop();
        assert!(selected(&rows).unwrap_err().to_string().contains("cleanup"));
    }

    #[test]
    fn only_the_marked_part_of_the_page_changes() {
        let page = "a\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nz\n";
        let new = replaced(page, "new\n").unwrap();
        assert_eq!(new, "a\n<!-- bench: begin -->\nnew\n<!-- bench: end -->\nz\n");
        assert_eq!(replaced("a", "new\n"), None);
    }
}
