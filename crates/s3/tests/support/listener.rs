//! Serves an HTTP service on a port of the loopback interface.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::Body;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Dropping it closes the port and all connections.
pub(crate) struct Listener {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl Listener {
    pub(crate) async fn start<S>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<Body>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                // A dropped connection is reset (RST) instead of closed in order (FIN).
                socket.set_zero_linger().unwrap();
                let service = service.clone();
                connections.spawn(async move {
                    // Injected faults end connections with an error.
                    let _ = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(Duration::from_secs(600))
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self { address, _task: task }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}
