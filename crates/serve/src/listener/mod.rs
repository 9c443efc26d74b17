//! Accepts connections and serves HTTP on them, until shutdown.

mod stall;
pub(crate) mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use self::stall::StallTimeout;
use self::tls::ReloadableTls;
use crate::options::Limits;
use crate::security::caller::ClientAddress;

/// After a failed `accept`, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between looks at a start that has come in part.
const PEEK_PAUSE: Duration = Duration::from_millis(10);
/// Bytes that are read from an HTTP/1 connection ahead of the request that gets them; heads are at most that long. hyper
/// keeps 400 kB by default, which thousands of connections with large bodies cannot have.
const READ_AHEAD: usize = 64 << 10;
/// Requests at the same time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    protocol: Protocol,
}

/// What clients speak without TLS, where nothing is negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr, protocol: Protocol) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, protocol })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves `router` until `shutdown` is true, then waits for open requests within the limit.
pub(crate) async fn serve(
    listener: Listener,
    router: Router,
    tls: Option<Arc<ReloadableTls>>,
    limits: Limits,
    mut shutdown: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = tokio::select! {
            _ = shutdown.wait_for(|down| *down) => break,
            accepted = accept(&listener.socket, &connections) => accepted,
        };
        let Ok((stream, address, permit)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let protocol = listener.protocol;
        let connection = Connection { router: router.clone(), address, protocol, limits };
        let (watcher, tls) = (graceful.watcher(), tls.clone());
        tokio::spawn(async move {
            connection.serve(stream, tls.as_deref(), watcher).await;
            drop(permit);
        });
    }
    drop(listener);
    // Connections that are left after that are cut when the process ends.
    let _ = timeout(limits.shutdown, graceful.shutdown()).await;
}

/// Waits for a free place, then for a client.
async fn accept(
    socket: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = socket.accept().await?;
    // Responses are small: waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    Ok((stream, address, permit))
}

/// Waits for the start of HTTP/2: a client that sends nothing is not waited for.
async fn preface(stream: &TcpStream) -> bool {
    const LENGTH: usize = 24;
    let mut start = [0; LENGTH];
    loop {
        match stream.peek(&mut start).await {
            Ok(LENGTH) => return true,
            Ok(0) | Err(_) => return false,
            Ok(_) => sleep(PEEK_PAUSE).await,
        }
    }
}

/// One connection of a client.
struct Connection {
    router: Router,
    address: SocketAddr,
    protocol: Protocol,
    limits: Limits,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<&ReloadableTls>, watcher: Watcher) {
        let Some(tls) = tls else {
            if self.protocol == Protocol::Http1 {
                self.serve_http1(stream, watcher).await;
            } else if timeout(self.limits.head, preface(&stream)).await.is_ok_and(|there| there) {
                self.serve_http2(stream, watcher).await;
            }
            return;
        };
        let handshake = timeout(self.limits.handshake, tls.acceptor().accept(stream));
        let Ok(Ok(stream)) = handshake.await else { return };
        if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) {
            self.serve_http2(stream, watcher).await;
        } else {
            self.serve_http1(stream, watcher).await;
        }
    }

    async fn serve_http1(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        watcher: Watcher,
    ) {
        let stream = StallTimeout::new(stream, self.limits.stalled);
        let mut http = hyper::server::conn::http1::Builder::new();
        // The timer makes the timeout effective (tokio-rs/axum#2741).
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(READ_AHEAD);
        let service = self.service();
        // A failure is that of the client, and its end.
        let _ = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await;
    }

    async fn serve_http2(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        watcher: Watcher,
    ) {
        let stream = StallTimeout::new(stream, self.limits.stalled);
        let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            // A client that is gone is found by its missing answers.
            .keep_alive_interval(self.limits.head)
            .keep_alive_timeout(self.limits.head);
        let service = self.service();
        let _ = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await;
    }

    /// The routes, which find the address of the client in the request.
    fn service(
        self,
    ) -> impl hyper::service::Service<
        Request<Incoming>,
        Response = axum::response::Response,
        Error = Infallible,
        Future: Send + 'static,
    > + Send
    + 'static {
        let Self { router, address, .. } = self;
        let service = router.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ClientAddress(address));
            request
        });
        TowerToHyperService::new(service)
    }
}
