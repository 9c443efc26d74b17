//! A line to the server that takes its time, to stand for a network.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::cmd::Result;

/// Listens on a port of its own and hands on what comes, requests `delay` later than they came.
/// Its threads end with the program.
pub(super) fn listen(server: u16, delay: Duration) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || connect(&client, server, delay));
        }
    });
    Ok(port)
}

/// Whatever breaks ends the connection; the client sees it.
fn connect(client: &TcpStream, server: u16, delay: Duration) {
    let both = || -> std::io::Result<_> {
        let server = TcpStream::connect(("127.0.0.1", server))?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        Ok((client.try_clone()?, client.try_clone()?, server.try_clone()?, server))
    };
    let Ok((from_client, to_client, from_server, to_server)) = both() else { return };
    let (sender, receiver) = channel();
    thread::spawn(move || {
        read(from_client, |bytes| sender.send((Instant::now() + delay, bytes)).is_ok());
    });
    thread::spawn(move || write_when_due(&to_server, &receiver));
    read(from_server, |bytes| (&to_client).write_all(&bytes).is_ok());
    let _ = to_client.shutdown(Shutdown::Both);
}

fn read(mut from: TcpStream, mut hand_on: impl FnMut(Vec<u8>) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !hand_on(buffer[..count].to_vec()) {
            return;
        }
    }
}

fn write_when_due(mut to: &TcpStream, pieces: &Receiver<(Instant, Vec<u8>)>) {
    for (due, bytes) in pieces {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
