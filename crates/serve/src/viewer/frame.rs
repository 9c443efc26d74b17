//! What all pages have: head, navigation, the form to log out.

use axum::response::{Html, IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use http::{StatusCode, Uri};
use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLE};
use super::form;
use super::strings::frame as strings;
use super::text::{named, text};
use super::url;
use crate::http::problem::Problem;
use crate::security::caller::Caller;
use crate::security::role::Role;

/// Only files of this server, and no markup that runs.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// With `no-referrer`, a browser would send forms without their origin, and they would be refused. No address of a page
/// has a secret.
const REFERRER: HeaderValue = HeaderValue::from_static("same-origin");

/// The pages of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nav {
    Overview,
    Entries,
    Integrity,
    Access,
    /// A page that is not in it.
    None,
}

impl Nav {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Overview, url::OVERVIEW, strings::OVERVIEW),
        (Self::Entries, url::ENTRIES, strings::ENTRIES),
        (Self::Integrity, url::INTEGRITY, strings::INTEGRITY),
        (Self::Access, url::ACCESS, strings::ACCESS),
    ];

    /// Whether `caller` may see the page.
    fn is_for(self, caller: &Caller) -> bool {
        self != Self::Access || caller.may(Role::Admin)
    }
}

/// What the frame of a page says about the request.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) caller: Option<Caller>,
    form_token: String,
    /// Whether there is something to log out of.
    has_log_in: bool,
    address: String,
}

impl Frame {
    pub(super) fn new(form_token: String, has_log_in: bool, uri: &Uri) -> Self {
        let address = uri.path_and_query().map_or_else(String::new, ToString::to_string);
        Self { caller: None, form_token, has_log_in, address }
    }

    /// The path and query string of the page.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The hidden field that each form must have.
    pub(super) fn form_token(&self) -> Markup {
        html! { input type="hidden" name=(form::TOKEN) value=(self.form_token); }
    }

    /// A page with this title.
    pub(super) fn page(&self, title: &str, nav: Nav, main: &Markup) -> Response {
        self.page_with_head(title, nav, &html! {}, main)
    }

    /// [`page`](Self::page), with more in the head of the document.
    pub(super) fn page_with_head(
        &self,
        title: &str,
        nav: Nav,
        head: &Markup,
        main: &Markup,
    ) -> Response {
        let page = html! {
            (DOCTYPE)
            html lang=(strings::LANGUAGE) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (named(title)) " · " (strings::PRODUCT) }
                    link rel="stylesheet" href=(STYLE.path());
                    link rel="icon" type="image/svg+xml" href=(ICON.path());
                    script defer src=(SCRIPT.path()) {}
                    (head)
                }
                body {
                    a.skip href="#main" { (strings::SKIP) }
                    (self.header(nav))
                    main id="main" tabindex="-1" { (main) }
                    (footer(&self.address))
                }
            }
        };
        ([(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, REFERRER)], Html(page.into_string()))
            .into_response()
    }

    /// The page that says what went wrong, and what to do.
    pub(super) fn problem(&self, problem: &Problem) -> Response {
        let title = strings::problem_title(problem.status());
        let detail = if problem.text().is_empty() { title } else { problem.text() };
        let main = html! {
            h1 { (title) }
            p.notice.bad role="alert" { (text(detail)) }
            @if problem.is_retryable() { p { (strings::RETRY) } }
            @if self.caller.is_some() { p { a href="/" { (strings::BACK) } } }
        };
        let mut page = self.page(title, Nav::None, &main);
        *page.status_mut() = problem.status();
        page
    }

    fn header(&self, nav: Nav) -> Markup {
        html! {
            header.top {
                a.brand href="/" { (strings::PRODUCT) }
                @if let Some(caller) = &self.caller {
                    nav aria-label=(strings::NAVIGATION) {
                        ul {
                            @for (page, path, name) in Nav::ALL.into_iter().filter(|(page, ..)| page.is_for(caller)) {
                                li { a href=(path) aria-current=[(page == nav).then_some("page")] { (name) } }
                            }
                        }
                    }
                    div.session {
                        button type="button" class="zone" data-zone hidden
                            data-utc=(strings::ZONE_UTC) data-local=(strings::ZONE_LOCAL) { (strings::ZONE_UTC) }
                        span.name { (text(&caller.name)) " (" (caller.role()) ")" }
                        @if self.has_log_in {
                            form method="post" action=(url::LOG_OUT) {
                                (self.form_token())
                                button type="submit" { (strings::LOG_OUT) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// On paper: where the page is from.
fn footer(address: &str) -> Markup {
    html! {
        footer {
            p { (strings::FOOTER) }
            p.print-only { (strings::PRINTED_FROM) " " (text(address)) }
        }
    }
}

/// The status of a response.
pub(super) fn with_status(mut page: Response, status: StatusCode) -> Response {
    *page.status_mut() = status;
    page
}
