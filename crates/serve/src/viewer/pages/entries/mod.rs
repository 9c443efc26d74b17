//! The list of entries.

use std::sync::Arc;

use attestry::{AuditEntry, Cursor, Order, Query, StorageError};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::Uri;
use maud::{Markup, html};

use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::http::query_string::Parameters;
use crate::read::content::require_for_conditions;
use crate::read::request;
use crate::security::caller::Caller;
use crate::state::AppState;
use crate::viewer::frame::{Frame, Nav};
use crate::viewer::strings::entries as strings;
use crate::viewer::text::{isolated, text, time};
use crate::viewer::url;

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 500;

pub(in crate::viewer) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(frame): Extension<Frame>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let newest_first = Query::new().order(Order::Descending);
    let parameters = Parameters::selecting(newest_first).parse_more(&uri, &[])?;
    require_for_conditions(&caller, &parameters.query)?;
    let page = Page::read(&state, parameters.query).await?;
    let count = page.rows.len() as u64;
    state.record_access(&caller, Action::List, &request(&uri), Some(count)).await?;
    Ok(frame.page(strings::TITLE, Nav::Entries, &page.markup()))
}

/// A page of the list: of each entry what a row shows, without its content.
struct Page {
    rows: Vec<AuditEntry>,
    next: Option<Cursor>,
    unreadable: Vec<String>,
}

impl Page {
    async fn read(state: &AppState, query: Query) -> Result<Self, Problem> {
        let size = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let mut page = Self { rows: Vec::new(), next: None, unreadable: Vec::new() };
        let mut found = state.logger.query(query.limit(size + 1));
        while let Some(entry) = found.next().await {
            match entry {
                Ok(_) if page.rows.len() == size => {
                    page.next = page.rows.last().map(Cursor::from);
                    break;
                }
                Ok(mut entry) => {
                    (entry.input_content, entry.output_content) = (None, None);
                    page.rows.push(entry);
                }
                Err(StorageError::Corrupt(record)) => page.unreadable.push(record.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(page)
    }

    fn markup(&self) -> Markup {
        html! {
            h1 { (strings::TITLE) }
            div.scroll tabindex="0" role="region" aria-label=(strings::TITLE) {
                table.entries {
                    thead { tr { th scope="col" { (strings::TIME) } th scope="col" { (strings::MODEL) } } }
                    tbody {
                        @for entry in &self.rows {
                            tr data-item {
                                td { a href=(url::entry(entry.id.as_str())) { (time(entry.timestamp)) } }
                                td { (isolated(entry.model.as_deref().unwrap_or("-"))) }
                            }
                        }
                    }
                }
            }
            @for reason in &self.unreadable { p.notice.bad { (text(reason)) } }
        }
    }
}
