//! The list of entries.

pub(in crate::viewer) mod columns;
mod download;
mod page;
mod selection;
mod view;

use std::sync::Arc;

use attestry::{Cursor, EntryId, Order, Query, Timestamp};
use axum::Extension;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use http::Uri;

pub(in crate::viewer) use self::download::download;
use self::page::Page;
use self::selection::Selection;
use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::read::content::require_for_conditions;
use crate::read::request;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;
use crate::viewer::frame::{Frame, Nav};
use crate::viewer::strings::entries as strings;
use crate::viewer::url;

/// The list.
pub(in crate::viewer) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(frame): Extension<Frame>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let selection = Selection::parse(&uri, &[])?;
    if selection.has_empty {
        // The address of a form, in a shape that can be mailed.
        return Ok(url::see_other(&selection.address(url::ENTRIES, &[])));
    }
    check(&caller, &selection)?;
    let begun = Timestamp::now();
    let page = Page::read(&state, &selection).await?;
    let count = page.rows.len() as u64;
    state.record_access(&caller, Action::List, &request(&uri), Some(count)).await?;
    let is_newest = selection.query.order == Order::Descending && !page.has_previous;
    let live = is_newest.then(|| {
        // An empty list begins now.
        let now = || Cursor { timestamp: begun, id: EntryId::new_unchecked("") }.to_string();
        let after = page.first().unwrap_or_else(now);
        selection.address(url::NEWER, &[("after", &after)])
    });
    let markup = view::list(&selection, &page, &caller, live.as_deref());
    Ok(frame.page(strings::TITLE, Nav::Entries, &markup))
}

/// The rows of what has come since, newest first, for the live view. It asks every few seconds: that nothing at all has
/// come is not on record. That nothing matches is the answer of a search.
pub(in crate::viewer) async fn newer(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let selection = Selection::parse(&uri, &[])?;
    check(&caller, &selection)?;
    let query: Query = selection.query.clone().order(Order::Ascending);
    let is_search = selection.has_conditions() || query.after.is_none();
    let mut page = Page::read_query(&state, query, &selection.columns, false).await?;
    if is_search || !page.rows.is_empty() {
        let count = page.rows.len() as u64;
        state.record_access(&caller, Action::List, &request(&uri), Some(count)).await?;
    }
    page.rows.reverse();
    let rows = view::rows(&page, &selection.columns).into_string();
    Ok(Html(rows).into_response())
}

/// Fails if the caller may not search for what the selection searches for, or see one of its columns.
fn check(caller: &Caller, selection: &Selection) -> Result<(), Problem> {
    caller.require(Role::Read)?;
    require_for_conditions(caller, &selection.query)
}
