//! Ctrl-C and SIGTERM for commands that must not stop in the midst of something.

use tokio::sync::watch;

/// Tells when the user wants the command to end.
pub(crate) struct Interrupt(watch::Receiver<Option<u8>>);

/// From now on the first signal is told to the command, and the second one ends the program at
/// once. Without this call, as for the commands that only read, the first one does.
pub(crate) fn listen() -> Interrupt {
    let (told, wanted) = watch::channel(None);
    tokio::spawn(async move {
        let first = next_signal().await;
        let _ = told.send(Some(first));
        let second = next_signal().await;
        std::process::exit(128 + i32::from(second));
    });
    Interrupt(wanted)
}

#[cfg(unix)]
async fn next_signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        told = tokio::signal::ctrl_c() => match told {
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
    /// The number of the signal, once there is one.
    pub(crate) async fn wait(&mut self) -> u8 {
        match self.0.wait_for(Option::is_some).await {
            Ok(signal) => (*signal).unwrap_or(2),
            Err(_) => std::future::pending().await,
        }
    }
}
