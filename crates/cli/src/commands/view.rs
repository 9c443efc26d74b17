//! `attestry view`: the viewer of `attestry serve`, for one browser on this host.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use attestry::evidence::Policy;
use attestry_serve::{Role, Server, ServerOptions, Token};

use crate::args::{StoreArgs, ViewArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::{Settings, user};
use crate::text::stderr_line;
use crate::{interrupt, logs, policy};

/// Name in the access log of a user whose name is not known or cannot be that of a token.
const VIEWER: &str = "viewer";

pub(super) async fn run(
    args: ViewArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let mut store = store.clone();
    if let Some(location) = args.location {
        store.store = location;
    }
    logs::start_with_warnings();
    let mut interrupt = interrupt::listen();
    let settings = Settings { encryption: store.encryption()?, ..Settings::default() };
    let logger = store.open_reader(settings).await?;
    let key = match &args.public_key {
        Some(path) => Some(policy::public_key(path)?),
        None => store.signing_key()?.map(|key| key.public()),
    };
    let (token, secret) = one_time_token()?;
    let options = ServerOptions::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), args.port))
        .one_time_login(token)
        .policy(key.map(Policy::new))
        .access_log(args.access_log);
    let server = Server::bind(logger, options).await?;
    let url = format!("http://{}/login?once={secret}", server.local_addr());
    out.line(format_args!("{url}"))?;
    out.flush()?;
    if !args.no_open && !open(&url) {
        stderr_line("no browser could be opened; open the URL above, which works once");
    }
    stderr_line("Ctrl-C ends it");
    let handle = server.handle();
    // Only the handle ends the server, so that both end.
    let (ended, _) = tokio::join!(server.run(), async {
        let signal = interrupt.wait().await;
        handle.shut_down();
        signal
    });
    ended?;
    Ok(Status::Success)
}

/// A token of the user of the program, the owner of what it reads.
fn one_time_token() -> Result<(Token, String), Failure> {
    let name = user().unwrap_or_default();
    Token::generate(&name, Role::Admin)
        .or_else(|_| Token::generate(VIEWER, Role::Admin))
        .map_err(|error| Failure::new("cannot create a token").caused_by(error))
}

/// Opens the URL in the user's browser; returns whether there seems to be one.
fn open(url: &str) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") {
        "xdg-open"
    } else {
        // A browser for terminals would take this one.
        return false;
    };
    let mut browser = Command::new(program);
    browser.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut browser) = browser.spawn() else { return false };
    // It may run as long as the browser does.
    std::thread::spawn(move || browser.wait());
    true
}
