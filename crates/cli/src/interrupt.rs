//! Ctrl-C and SIGTERM, for commands that end in an orderly way.

use tokio::sync::watch;

/// Waits for the first signal.
pub(crate) struct Interrupt(watch::Receiver<Option<u8>>);

/// From now on, the first signal is passed to the [`Interrupt`], and the second one ends the program.
/// Without this call, the first one ends it.
pub(crate) fn listen() -> Interrupt {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let first = next_signal().await;
        let _ = sender.send(Some(first));
        let second = next_signal().await;
        std::process::exit(128 + i32::from(second));
    });
    Interrupt(receiver)
}

#[cfg(unix)]
async fn next_signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => match result {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        },
        _ = terminate.recv() => 15,
    }
}

#[cfg(not(unix))]
async fn next_signal() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => 2,
        Err(_) => std::future::pending().await,
    }
}

impl Interrupt {
    /// The number of the first signal, once it is received.
    pub(crate) async fn wait(&mut self) -> u8 {
        match self.0.wait_for(Option::is_some).await {
            Ok(signal) => (*signal).unwrap_or(2),
            Err(_) => std::future::pending().await,
        }
    }
}
