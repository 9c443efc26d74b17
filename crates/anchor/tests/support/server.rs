//! An HTTP/1.1 server whose replies are scripted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) content_type: String,
    /// All of them: lower-case names, and values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Response {
    Reply {
        status: u16,
        content_type: &'static str,
        body: Vec<u8>,
    },
    /// Closes the connection after half of the reply.
    Cut {
        body: Vec<u8>,
    },
    /// Closes the connection at once.
    Close,
    /// Never replies. The connection stays open until the client closes it.
    Hang,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self::Reply { status, content_type, body: body.into() }
    }
}

type Script = Arc<Mutex<Box<dyn FnMut(&Request) -> Response + Send>>>;

/// Runs until the process ends. Each connection serves one request.
#[derive(Clone)]
pub(crate) struct Server {
    address: String,
    script: Script,
    requests: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start(script: impl FnMut(&Request) -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let script: Script = Arc::new(Mutex::new(Box::new(script)));
        let server = Self { address, script, requests: Arc::default() };
        let accepting = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = accepting.clone();
                thread::spawn(move || serving.serve(&stream.unwrap()));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The number of requests received.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Replaces the script.
    pub(crate) fn now(&self, script: impl FnMut(&Request) -> Response + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    fn serve(&self, stream: &TcpStream) {
        let Some(request) = read(stream) else { return };
        let response = (self.script.lock().unwrap())(&request);
        self.requests.fetch_add(1, Ordering::SeqCst);
        // The client may have closed the connection.
        let _ = reply(stream, response);
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut content_type, mut headers) = (0, String::new(), Vec::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "content-type" => content_type = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, content_type, headers, body })
}

fn reply(mut stream: &TcpStream, response: Response) -> std::io::Result<()> {
    let (status, content_type, body, sent) = match response {
        Response::Close => return Ok(()),
        Response::Hang => return stream.read(&mut [0]).map(drop),
        Response::Cut { body } => {
            let half = body.len() / 2;
            (200, "text/plain", body, half)
        }
        Response::Reply { status, content_type, body } => {
            let length = body.len();
            (status, content_type, body, length)
        }
    };
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body[..sent])
}
