//! `attestry serve`: the store over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use attestry_serve::{Handle, Server, ServerOptions, TlsFiles};

use crate::args::{ServeArgs, StoreArgs};
use crate::errors::{Failure, Status, with_sources};
use crate::interrupt;
use crate::store::Settings;
use crate::text::{escaped, stderr_line};

/// The ports of OTLP.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);
const DEFAULT_GRPC_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4317);

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
    let (address, grpc) = match args.listen {
        Some(address) => (address, args.grpc_listen),
        None => (DEFAULT_ADDRESS, Some(args.grpc_listen.unwrap_or(DEFAULT_GRPC_ADDRESS))),
    };
    let options = ServerOptions::new(address)
        .grpc(grpc)
        .inbox(args.inbox)
        .join_deadline(Duration::from_secs(args.join_deadline.into()))
        .tls(tls)
        .tokens(args.tokens)
        .access_log(args.access_log)
        .insecure(args.insecure);
    let server = Server::bind(logger, options).await?;
    stderr_line(format_args!("listening on {scheme}://{}", server.local_addr()));
    if let Some(address) = server.local_grpc_addr() {
        stderr_line(format_args!("listening on {scheme}://{address} for gRPC"));
    }
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
