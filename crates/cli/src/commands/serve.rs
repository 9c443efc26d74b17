//! `attestry serve`: the store over HTTP.

use attestry_serve::{Handle, Server, ServerOptions, TlsFiles};

use crate::args::{ServeArgs, StoreArgs};
use crate::errors::{Failure, Status, with_sources};
use crate::interrupt;
use crate::store::Settings;
use crate::text::{escaped, stderr_line};

pub(super) async fn run(args: ServeArgs, store: &StoreArgs) -> Result<Status, Failure> {
    let settings = Settings {
        encryption: store.encryption()?,
        store_content: args.store_content,
        ..Settings::default()
    };
    let logger = match args.read_only {
        true => store.open_reader(settings).await?,
        false => store.open_writer(settings).await?,
    };
    // Before the first request: a signal would otherwise end the process without closing the store.
    let mut interrupt = interrupt::listen();
    let tls = args.tls_cert.zip(args.tls_key);
    let tls = tls.map(|(cert, key)| TlsFiles::new(cert, key).client_ca(args.tls_client_ca));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let options = ServerOptions::new(args.listen)
        .tls(tls)
        .tokens(args.tokens)
        .access_log(args.access_log)
        .insecure(args.insecure);
    let server = Server::bind(logger, options).await?;
    stderr_line(format_args!("listening on {scheme}://{}", server.local_addr()));
    let handle = server.handle();
    let reload = tokio::spawn(reload_on_hangup(handle.clone()));
    // Only the handle ends the server, so that both end.
    let (ended, ()) = tokio::join!(server.run(), async {
        interrupt.wait().await;
        handle.shut_down();
    });
    reload.abort();
    ended?;
    Ok(Status::Success)
}

/// Reads tokens and certificates again at each SIGHUP.
async fn reload_on_hangup(handle: Handle) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        match handle.reload().await {
            Ok(()) => stderr_line("read tokens and certificates again"),
            Err(error) => {
                let error = with_sources(&error);
                stderr_line(escaped(&format!("{error}; the earlier ones stay in use")));
            }
        }
    }
}
