//! Binds, runs and shuts down the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use attestry::anchor::Dispatcher;
use attestry::evidence::EvidenceExt as _;
use attestry::{AuditLogger, StorageError};
use tokio::sync::watch;

use crate::access_log::{AccessLog, Action, access_log_folder};
use crate::error::ServeError;
use crate::inbox::{self, Inbox, InboxSettings};
use crate::listener::tls::ReloadableTls;
use crate::listener::{self, Listener, Protocol};
use crate::options::ServerOptions;
use crate::security::caller::Caller;
use crate::state::AppState;
use crate::{api, maintenance};

/// A server that listens.
#[derive(Debug)]
#[must_use = "nothing is answered until it runs"]
pub struct Server {
    listener: Listener,
    grpc: Option<Listener>,
    handle: Handle,
    shutdown: watch::Receiver<bool>,
}

/// Controls a running [`Server`].
#[derive(Debug, Clone)]
pub struct Handle {
    state: Arc<AppState>,
    options: Arc<ServerOptions>,
    tls: Option<Arc<ReloadableTls>>,
    shutdown: watch::Sender<bool>,
}

impl Server {
    /// Listens, with `logger` as the store. [`run`](Self::run) closes it.
    ///
    /// # Errors
    ///
    /// [`ServeError::Insecure`] if other hosts can reach the address and TLS or tokens are missing;
    /// [`ServeError::Tokens`], [`ServeError::Tls`], [`ServeError::AccessLog`], [`ServeError::Inbox`],
    /// [`ServeError::Listen`].
    pub async fn bind(logger: AuditLogger, options: ServerOptions) -> Result<Self, ServeError> {
        options.check_exposure()?;
        let tokens = options.read_tokens()?;
        let tls = options.load_tls()?.map(Arc::new);
        let folder = options
            .access_log
            .clone()
            .or_else(|| Some(access_log_folder(logger.evidence().ok()?.path())));
        let access = match folder {
            Some(folder) => {
                let days = options.maintenance.access_retention_days;
                Some(AccessLog::open(folder, options.access_evidence.clone(), days).await?)
            }
            None => None,
        };
        let inbox = match inbox_settings(&logger, &options).await {
            Some(settings) => Some(Inbox::open(logger.clone(), settings).await?),
            None => None,
        };
        let listener = listen(options.address, Protocol::Http1).await?;
        let grpc = match options.grpc {
            Some(address) => Some(listen(address, Protocol::Http2).await?),
            None => None,
        };
        let state =
            Arc::new(AppState::new(logger, access, tokens, &options, listener.address(), inbox));
        let (sender, shutdown) = watch::channel(false);
        let handle = Handle { state, options: Arc::new(options), tls, shutdown: sender };
        Ok(Self { listener, grpc, handle, shutdown })
    }

    /// Owns the dispatcher of the store: `/metrics` has its state, and after the last entry of a shutdown a checkpoint is
    /// signed and handed over, within `limit`.
    ///
    /// ```no_run
    /// # async fn example(log: attestry::AuditLogger) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use attestry::anchor::{Dispatcher, FolderSink};
    /// use attestry_serve::{Server, ServerOptions};
    ///
    /// let dispatcher = Dispatcher::builder()
    ///     .anchor(FolderSink::new("/mnt/worm"))
    ///     .start(log.storage().clone())?;
    /// let server = Server::bind(log, ServerOptions::new("127.0.0.1:4318".parse()?)).await?;
    /// server.anchors(dispatcher, Duration::from_secs(10)).run().await?;
    /// # Ok(()) }
    /// ```
    pub fn anchors(self, dispatcher: Dispatcher, limit: Duration) -> Self {
        self.handle.state.anchors.set(dispatcher, limit);
        self
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The address it listens on for gRPC.
    #[must_use]
    pub fn local_grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc.as_ref().map(Listener::address)
    }

    /// A handle that controls the server while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Answers requests until [`Handle::shut_down`] is called. Then it stops accepting, waits for the
    /// requests that are being answered, at most for [`Limits::shutdown`](crate::Limits::shutdown), and
    /// closes the store.
    ///
    /// # Errors
    ///
    /// [`ServeError::Close`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, connections are cut and the store is not closed. No acknowledged entry is
    /// lost.
    pub async fn run(self) -> Result<(), ServeError> {
        let Self { listener, grpc, handle, shutdown } = self;
        let state = Arc::clone(&handle.state);
        let router = api::router(Arc::clone(&state));
        let sweeper = state.calls.sweep(shutdown.clone());
        let maintenance =
            maintenance::run(Arc::clone(&state), handle.options.maintenance, shutdown.clone());
        let overview = state.overview.run(&state.logger, shutdown.clone());
        let (otlp_shutdown, grpc_shutdown) = (shutdown.clone(), shutdown.clone());
        let (tls, limits) = (handle.tls, state.limits());
        let accept_grpc = async {
            if let Some(listener) = grpc {
                let router = api::grpc_router(Arc::clone(&state));
                listener::serve(listener, router, tls.clone(), limits, grpc_shutdown).await;
            }
        };
        let accept = listener::serve(listener, router, tls.clone(), limits, shutdown);
        let merger = async {
            if let Some(otlp) = &state.otlp {
                let note = |result| drop(state.note_write(result));
                otlp.inbox.run(otlp_shutdown, note).await;
            }
        };
        tokio::join!(accept, accept_grpc, sweeper, merger, maintenance, overview);
        state.close().await.map_err(ServeError::Close)
    }
}

impl Handle {
    /// Begins the shutdown; [`Server::run`] returns when it is done. Calling it again does nothing.
    pub fn shut_down(&self) {
        self.shutdown.send_replace(true);
    }

    /// Reads the tokens and TLS files again. Connections that are open keep what they have; each request is
    /// checked with the new tokens.
    ///
    /// # Errors
    ///
    /// [`ServeError::Tokens`], [`ServeError::Tls`]; what was loaded before stays in use.
    pub async fn reload(&self) -> Result<(), ServeError> {
        let tokens = self.options.read_tokens()?;
        if let Some(tls) = &self.tls {
            tls.reload()?;
        }
        if let Some(tokens) = tokens {
            self.state.replace_tokens(tokens);
            let caller = Caller::of_server();
            // The reload stands also if it cannot be recorded.
            let _ = self.state.record_access(&caller, Action::ReloadTokens, "", None).await;
        }
        Ok(())
    }
}

/// The inbox of a store that can be written.
async fn inbox_settings(logger: &AuditLogger, options: &ServerOptions) -> Option<InboxSettings> {
    let default = || Some(inbox::default_folder(logger.evidence().ok()?.path()));
    // What is acknowledged must be written later.
    let nothing = logger.storage().write_new(&[]).await;
    if matches!(nothing, Err(StorageError::ReadOnly { .. }))
        || logger.evidence().is_ok_and(|storage| storage.is_read_only())
    {
        return None;
    }
    let folder = options.inbox.clone().or_else(default)?;
    let (deadline, bytes) = (options.join_deadline, options.limits.waiting_bytes);
    Some(InboxSettings { folder, deadline, bytes })
}

async fn listen(address: SocketAddr, protocol: Protocol) -> Result<Listener, ServeError> {
    let listener = Listener::bind(address, protocol).await;
    listener.map_err(|source| ServeError::Listen { address, source })
}
