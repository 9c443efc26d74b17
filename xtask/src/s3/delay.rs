//! A TCP proxy that delays requests, to simulate the latency of a network.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::cmd::Result;

/// Forwards connections from a new port to the port `server`, requests after `delay`. Returns the new port.
/// Its threads run until the program exits.
pub(super) fn start(server: u16, delay: Duration) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || forward(&client, server, delay));
        }
    });
    Ok(port)
}

/// An error closes the connection to the client.
fn forward(client: &TcpStream, server: u16, delay: Duration) {
    let streams = || -> std::io::Result<_> {
        let server = TcpStream::connect(("127.0.0.1", server))?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        Ok((client.try_clone()?, client.try_clone()?, server.try_clone()?, server))
    };
    let Ok((from_client, to_client, from_server, to_server)) = streams() else { return };
    let (sender, receiver) = channel();
    thread::spawn(move || {
        read_all(from_client, |bytes| sender.send((Instant::now() + delay, bytes)).is_ok());
    });
    thread::spawn(move || write_delayed(&to_server, &receiver));
    read_all(from_server, |bytes| (&to_client).write_all(&bytes).is_ok());
    let _ = to_client.shutdown(Shutdown::Both);
}

fn read_all(mut from: TcpStream, mut forward: impl FnMut(Vec<u8>) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !forward(buffer[..count].to_vec()) {
            return;
        }
    }
}

fn write_delayed(mut to: &TcpStream, chunks: &Receiver<(Instant, Vec<u8>)>) {
    for (due, bytes) in chunks {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
