//! `attestry serve`: the store over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use attestry::evidence::{EvidenceOptions, Policy, SigningKey};
use attestry_serve::{Handle, Limits, Maintenance, Server, ServerOptions, TlsFiles};

use crate::args::{LimitArgs, ServeArgs, StoreArgs};
use crate::errors::{Failure, Status, with_sources};
use crate::store::Settings;
use crate::text::stderr_line;
use crate::{interrupt, logs, policy};

/// The ports of OTLP.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);
const DEFAULT_GRPC_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4317);

pub(super) async fn run(args: ServeArgs, store: &StoreArgs) -> Result<Status, Failure> {
    let settings = Settings {
        encryption: store.encryption()?,
        store_content: args.store_content,
        retention_days: args.maintenance.retention_days,
        ..Settings::default()
    };
    let options = options(&args, store)?;
    if args.check_config {
        options.check()?;
        args.anchors.builder(store).map(drop)?;
        store.check()?;
        stderr_line("the configuration is valid");
        return Ok(Status::Success);
    }
    logs::start(&args.logs);
    // Before the first request: a signal would otherwise end the process without closing the store.
    let mut interrupt = interrupt::listen();
    let logger = match args.read_only {
        true => store.open_reader(settings).await?,
        false => store.open_writer(settings).await?,
    };
    let anchors = args.anchors.start_for_server(store, &logger)?;
    let scheme = if args.security.tls_cert.is_some() { "https" } else { "http" };
    let mut server = Server::bind(logger, options).await?;
    if let Some(anchors) = anchors {
        server = server.anchors(anchors, args.anchors.places.anchor_timeout);
    }
    tracing::info!("listening on {scheme}://{}", server.local_addr());
    if let Some(address) = server.local_grpc_addr() {
        tracing::info!("listening on {scheme}://{address} for gRPC");
    }
    let handle = server.handle();
    let reload = tokio::spawn(reload_on_hangup(handle.clone()));
    // Only the handle ends the server, so that both end.
    let (ended, ()) = tokio::join!(server.run(), async {
        interrupt.wait().await;
        tracing::info!("shutting down");
        handle.shut_down();
    });
    reload.abort();
    ended?;
    tracing::info!("closed the store");
    Ok(Status::Success)
}

fn options(args: &ServeArgs, store: &StoreArgs) -> Result<ServerOptions, Failure> {
    let (security, maintenance) = (&args.security, &args.maintenance);
    let tls = match (&security.tls_cert, &security.tls_key) {
        (Some(cert), Some(key)) => {
            Some(TlsFiles::new(cert, key).client_ca(security.tls_client_ca.clone()))
        }
        (None, None) if security.tls_client_ca.is_none() => None,
        _ => {
            return Err(Failure::new("TLS needs a certificate and its key")
                .hint("pass --tls-cert FILE and --tls-key FILE"));
        }
    };
    if args.read_only && maintenance.retention_days.is_some() {
        return Err(Failure::new("a server that only reads cannot erase expired entries")
            .hint("remove --retention-days or --read-only"));
    }
    if args.read_only && args.inbox.is_some() {
        return Err(Failure::new("a server that only reads cannot receive telemetry")
            .hint("remove --inbox or --read-only"));
    }
    if args.read_only && !args.anchors.is_empty() {
        return Err(Failure::new("a server that only reads signs no checkpoint to hand over")
            .hint("remove --read-only, or the places for checkpoints"));
    }
    let key = store.signing_key()?;
    let required = match (&maintenance.public_key, &key) {
        (Some(path), _) => Some(Policy::new(policy::public_key(path)?)),
        (None, Some(key)) => Some(Policy::new(key.public())),
        (None, None) => None,
    };
    let (address, grpc) = match args.listen {
        Some(address) => (address, args.grpc_listen),
        None => (DEFAULT_ADDRESS, Some(args.grpc_listen.unwrap_or(DEFAULT_GRPC_ADDRESS))),
    };
    Ok(ServerOptions::new(address)
        .grpc(grpc)
        .inbox(args.inbox.clone())
        .join_deadline(Duration::from_secs(args.join_deadline.into()))
        .tls(tls)
        .tokens(security.tokens.clone())
        .access_log(security.access_log.clone())
        .access_evidence(key.map(|key| access_evidence(&key, store)).transpose()?)
        .policy(required)
        .public_tree(security.public_tree)
        .maintenance(Maintenance {
            cleanup_at: maintenance.cleanup_at,
            clean_up: maintenance.retention_days.is_some(),
            access_retention_days: maintenance.access_retention_days,
            verify_every: maintenance.verify_every,
        })
        .insecure(security.insecure)
        .limits(limits(&args.limits)))
}

/// Evidence of the access log.
fn access_evidence(key: &SigningKey, store: &StoreArgs) -> Result<EvidenceOptions, Failure> {
    Ok(super::access::evidence(key, store)?.on_checkpoint(|signed| {
        if let Err(error) = signed {
            let reason = with_sources(error);
            tracing::warn!(reason, "cannot sign a checkpoint of the access log");
        }
    }))
}

fn limits(args: &LimitArgs) -> Limits {
    let default = Limits::default();
    let time = |given: Option<Duration>, default| given.unwrap_or(default);
    Limits {
        encoded_body: args.max_encoded_body.unwrap_or(default.encoded_body),
        body: args.max_body.unwrap_or(default.body),
        connections: args.max_connections.unwrap_or(default.connections),
        requests: args.max_requests.unwrap_or(default.requests),
        received_bytes: args.max_received_bytes.unwrap_or(default.received_bytes),
        waiting_bytes: args.max_waiting_bytes.unwrap_or(default.waiting_bytes),
        open_calls: args.max_open_calls.unwrap_or(default.open_calls),
        handshake: time(args.handshake_timeout, default.handshake),
        head: time(args.head_timeout, default.head),
        receive: time(args.body_timeout, default.receive),
        stalled: time(args.stall_timeout, default.stalled),
        idle_call: time(args.idle_call_timeout, default.idle_call),
        shutdown: time(args.shutdown_timeout, default.shutdown),
        search: default.search,
    }
}

/// Reads tokens and certificates again at each SIGHUP.
async fn reload_on_hangup(handle: Handle) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        match handle.reload().await {
            Ok(()) => tracing::info!("read tokens and certificates again"),
            Err(error) => {
                let reason = with_sources(&error);
                tracing::error!(reason, "tokens and certificates stay as they were");
            }
        }
    }
}
