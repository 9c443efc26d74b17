//! Settings of the server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use attestry::evidence::{EvidenceOptions, Policy};

use crate::error::ServeError;
use crate::listener::tls::{ReloadableTls, TlsFiles};
use crate::security::tokens::{Token, Tokens};

/// Settings of a [`Server`](crate::Server).
#[derive(Debug, Clone)]
#[must_use]
pub struct ServerOptions {
    pub(crate) address: SocketAddr,
    pub(crate) grpc: Option<SocketAddr>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) tokens: Option<PathBuf>,
    pub(crate) one_time_login: Option<Token>,
    pub(crate) access_log: Option<PathBuf>,
    pub(crate) inbox: Option<PathBuf>,
    pub(crate) join_deadline: Duration,
    pub(crate) access_evidence: Option<EvidenceOptions>,
    pub(crate) policy: Option<Policy>,
    pub(crate) public_tree: bool,
    pub(crate) maintenance: Maintenance,
    pub(crate) insecure: bool,
    pub(crate) limits: Limits,
}

impl ServerOptions {
    /// Listens on `address`; with port 0, on a port that the system chooses.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            grpc: None,
            tls: None,
            tokens: None,
            one_time_login: None,
            access_log: None,
            inbox: None,
            join_deadline: Duration::from_secs(30),
            access_evidence: None,
            policy: None,
            public_tree: false,
            maintenance: Maintenance::default(),
            insecure: false,
            limits: Limits::default(),
        }
    }

    /// Listens on this address, too, for OTLP over gRPC. Without one, gRPC is answered at the first address with TLS
    /// only.
    pub fn grpc(mut self, address: impl Into<Option<SocketAddr>>) -> Self {
        self.grpc = address.into();
        self
    }

    /// Serves TLS with these files.
    pub fn tls(mut self, files: impl Into<Option<TlsFiles>>) -> Self {
        self.tls = files.into();
        self
    }

    /// The file of tokens; see [`Tokens`](crate::Tokens). Without one, every client may do everything.
    pub fn tokens(mut self, file: impl Into<Option<PathBuf>>) -> Self {
        self.tokens = file.into();
        self
    }

    /// Lets one browser into the viewer without a token of the file: the one that opens `/login?once=SECRET` first.
    /// All other requests need a token, also if there is no file of tokens.
    ///
    /// ```
    /// use attestry_serve::{Role, ServerOptions, Token};
    ///
    /// let (token, secret) = Token::generate("viewer", Role::Content)?;
    /// let options = ServerOptions::new(([127, 0, 0, 1], 0).into()).one_time_login(token);
    /// let path = format!("/login?once={secret}"); // what the browser is to open
    /// # Ok::<(), attestry_serve::InvalidTokens>(())
    /// ```
    pub fn one_time_login(mut self, token: impl Into<Option<Token>>) -> Self {
        self.one_time_login = token.into();
        self
    }

    /// The folder of the access log. Default: `.attestry/access` in the folder of a file store; no access
    /// log for other stores.
    pub fn access_log(mut self, folder: impl Into<Option<PathBuf>>) -> Self {
        self.access_log = folder.into();
        self
    }

    /// The folder of the inbox, where parts of calls that telemetry brings wait for the others. Default:
    /// `.attestry/inbox` in the folder of a file store. For other stores there is none, and without one no telemetry is
    /// received.
    pub fn inbox(mut self, folder: impl Into<Option<PathBuf>>) -> Self {
        self.inbox = folder.into();
        self
    }

    /// How long a part of a call waits for the others. Default: 30 s.
    pub fn join_deadline(mut self, deadline: Duration) -> Self {
        self.join_deadline = deadline;
        self
    }

    /// Makes the access log keep evidence. Its key must not have the name of the store's key: one name is one log;
    /// see [`SigningKey::renamed`](attestry::evidence::SigningKey::renamed).
    pub fn access_evidence(mut self, evidence: impl Into<Option<EvidenceOptions>>) -> Self {
        self.access_evidence = evidence.into();
        self
    }

    /// The signatures that a verification requires. Without a policy, signatures are not verified.
    pub fn policy(mut self, policy: impl Into<Option<Policy>>) -> Self {
        self.policy = policy.into();
        self
    }

    /// Serves the checkpoint and the tiles, which are hashes, also without a token, for monitors and witnesses. They
    /// reveal how many entries there are.
    pub fn public_tree(mut self, public: bool) -> Self {
        self.public_tree = public;
        self
    }

    /// What the server does by itself, and when.
    pub fn maintenance(mut self, maintenance: Maintenance) -> Self {
        self.maintenance = maintenance;
        self
    }

    /// Allows an address that other hosts can reach without TLS or without tokens.
    pub fn insecure(mut self, insecure: bool) -> Self {
        self.insecure = insecure;
        self
    }

    /// Limits of size, number and time.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks what can be checked without the store: the address, and the files of tokens and TLS.
    ///
    /// # Errors
    ///
    /// [`ServeError::Insecure`] if other hosts can reach the address and TLS or tokens are missing;
    /// [`ServeError::Tokens`], [`ServeError::Tls`].
    pub fn check(&self) -> Result<(), ServeError> {
        self.check_exposure()?;
        self.read_tokens()?;
        self.load_tls()?;
        Ok(())
    }

    /// Refuses an address that other hosts can reach without TLS and tokens.
    pub(crate) fn check_exposure(&self) -> Result<(), ServeError> {
        let missing = match (self.tls.is_some(), self.tokens.is_some()) {
            (true, true) => return Ok(()),
            (true, false) => "tokens",
            (false, true) => "TLS",
            (false, false) => "TLS and tokens",
        };
        let mut addresses = [Some(self.address), self.grpc].into_iter().flatten();
        match addresses.find(|address| !address.ip().is_loopback()) {
            Some(address) if !self.insecure => Err(ServeError::Insecure { address, missing }),
            _ => Ok(()),
        }
    }

    pub(crate) fn read_tokens(&self) -> Result<Option<Tokens>, ServeError> {
        let read = |path: &PathBuf| {
            Tokens::from_file(path)
                .map_err(|source| ServeError::Tokens { path: path.clone(), source })
        };
        self.tokens.as_ref().map(read).transpose()
    }

    pub(crate) fn load_tls(&self) -> Result<Option<ReloadableTls>, ServeError> {
        self.tls.clone().map(ReloadableTls::load).transpose()
    }
}

/// What the server does by itself, and when. The default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // Built with `..Maintenance::default()`.
pub struct Maintenance {
    /// When expired entries are erased each day, as the time after midnight UTC. Default: 03:00.
    pub cleanup_at: Duration,
    /// Erases expired entries of the store. The logger has the retention period, and refuses to erase more than half of
    /// the entries, as after a jump of the clock, unless it allows that.
    pub clean_up: bool,
    /// Erases entries of the access log that are as many days old or older, under the same condition.
    pub access_retention_days: Option<u32>,
    /// Verifies the store so often; zero is never. The first time is after ten minutes, if that is sooner.
    pub verify_every: Option<Duration>,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            cleanup_at: Duration::from_secs(3 * 3600),
            clean_up: false,
            access_retention_days: None,
            verify_every: None,
        }
    }
}

/// Limits of size, number and time, so that no client can exhaust the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // Built with `..Limits::default()`.
pub struct Limits {
    /// Bytes of a request's body as it is sent. Default: 16 MiB.
    pub encoded_body: usize,
    /// Bytes of a request's body after decompression. Default: 64 MiB.
    pub body: usize,
    /// Connections at the same time; more are accepted when others end. Default: 4096.
    pub connections: usize,
    /// Requests that are answered at the same time; more get 503. Default: 1024.
    pub requests: usize,
    /// Calls (`/v1/calls`) that are open at the same time; more get 503. Default: 10,000.
    pub open_calls: usize,
    /// Bytes of OTLP requests that are held at the same time, as they are sent and decompressed; more get 503. At least
    /// the sum of [`encoded_body`](Self::encoded_body) and [`body`](Self::body) for every request to be
    /// acceptable. What is computed from them takes as much again. Default: 80 MiB.
    pub received_bytes: usize,
    /// Bytes of the parts of calls that wait for others; of more, the oldest are stored before their deadline. Default:
    /// 32 MiB.
    pub waiting_bytes: usize,
    /// The time for a TLS handshake. Default: 10 s.
    pub handshake: Duration,
    /// The time for the head of a request, also of the next one of a connection. Default: 30 s.
    pub head: Duration,
    /// The time for the body of a request. Default: 60 s.
    pub receive: Duration,
    /// How long a response waits for a client that does not read. Default: 60 s.
    pub stalled: Duration,
    /// After this time without output or end, an open call is stored as abandoned. Default: 15 min.
    pub idle_call: Duration,
    /// How long a page of the viewer searches for entries before it shows what it has found and offers to search
    /// everything. Default: 200 ms.
    pub search: Duration,
    /// How long a shutdown waits for requests that are being answered. Default: 30 s.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            encoded_body: 16 << 20,
            body: 64 << 20,
            connections: 4096,
            requests: 1024,
            open_calls: 10_000,
            received_bytes: 80 << 20,
            waiting_bytes: 32 << 20,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            receive: Duration::from_secs(60),
            stalled: Duration::from_secs(60),
            idle_call: Duration::from_secs(15 * 60),
            search: Duration::from_millis(200),
            shutdown: Duration::from_secs(30),
        }
    }
}
