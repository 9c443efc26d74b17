//! Binds, runs and shuts down the server.

use std::net::SocketAddr;
use std::sync::Arc;

use attestry::AuditLogger;
use attestry::evidence::EvidenceExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::access_log::{self, AccessLog, Action};
use crate::error::ServeError;
use crate::listener::tls::ReloadableTls;
use crate::listener::{self, Listener};
use crate::options::ServerOptions;
use crate::security::caller::Caller;
use crate::security::tokens::Tokens;
use crate::state::AppState;
use crate::{api, security};

/// A server that listens.
#[derive(Debug)]
#[must_use = "nothing is answered until it runs"]
pub struct Server {
    listener: Listener,
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
    /// [`ServeError::Tokens`], [`ServeError::Tls`], [`ServeError::AccessLog`], [`ServeError::Listen`].
    pub async fn bind(logger: AuditLogger, options: ServerOptions) -> Result<Self, ServeError> {
        check_exposure(&options)?;
        let tokens = options.tokens.as_deref().map(read_tokens).transpose()?;
        let tls = options.tls.clone().map(ReloadableTls::load).transpose()?.map(Arc::new);
        let folder = options
            .access_log
            .clone()
            .or_else(|| Some(access_log::default_folder(logger.evidence().ok()?.path())));
        let access = match folder {
            Some(folder) => Some(AccessLog::open(folder).await?),
            None => None,
        };
        let listened = TcpListener::bind(options.address).await;
        let failed = |source| ServeError::Listen { address: options.address, source };
        let listener = Listener::new(listened.map_err(failed)?).map_err(failed)?;
        let state = Arc::new(AppState::new(logger, access, tokens, options.limits));
        let (sender, shutdown) = watch::channel(false);
        let handle = Handle { state, options: Arc::new(options), tls, shutdown: sender };
        Ok(Self { listener, handle, shutdown })
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.address()
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
        let Self { listener, handle, shutdown } = self;
        let state = Arc::clone(&handle.state);
        let router = api::router(Arc::clone(&state));
        let sweeper = state.calls.sweep(shutdown.clone());
        let accept = listener::serve(listener, router, handle.tls, state.limits(), shutdown);
        tokio::join!(accept, sweeper);
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
        let tokens = self.options.tokens.as_deref().map(read_tokens).transpose()?;
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

/// Refuses an address that other hosts can reach without TLS and tokens.
fn check_exposure(options: &ServerOptions) -> Result<(), ServeError> {
    let address = options.address;
    let missing = match (options.tls.is_some(), options.tokens.is_some()) {
        _ if address.ip().is_loopback() || options.insecure => return Ok(()),
        (true, true) => return Ok(()),
        (true, false) => "tokens",
        (false, true) => "TLS",
        (false, false) => "TLS and tokens",
    };
    Err(ServeError::Insecure { address, missing })
}

fn read_tokens(path: &std::path::Path) -> Result<Tokens, ServeError> {
    security::tokens::Tokens::from_file(path)
        .map_err(|source| ServeError::Tokens { path: path.to_path_buf(), source })
}
