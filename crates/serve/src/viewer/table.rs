//! Tables. One that is wider than the page scrolls, with the keyboard, too.

use maud::{Markup, html};

/// The heading of a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column<'a> {
    Text(&'a str),
    /// Its cells have the class `number`, too.
    Number(&'a str),
}

/// A table whose rows are `rows`. A screen reader calls it `label`.
pub(super) fn table(label: &str, columns: &[Column<'_>], rows: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table {
                thead {
                    tr {
                        @for column in columns {
                            @match column {
                                Column::Text(heading) => th scope="col" { (heading) },
                                Column::Number(heading) => th.number scope="col" { (heading) },
                            }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}
