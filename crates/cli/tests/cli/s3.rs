//! The number of requests of commands on a bucket, counted by a scripted endpoint.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::common::{Folder, Run, json, run};

/// Answers GET, HEAD and listings of objects that it was given, and records the requests.
struct Endpoint {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

type Objects = Arc<BTreeMap<String, Vec<u8>>>;

impl Endpoint {
    fn start(objects: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (objects, requests) = (Arc::new(objects), Arc::<Mutex<Vec<String>>>::default());
        let recorded = Arc::clone(&requests);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (objects, requests) = (Arc::clone(&objects), Arc::clone(&recorded));
                std::thread::spawn(move || serve(connection.unwrap(), &objects, &requests));
            }
        });
        Self { port, requests }
    }

    fn run(&self, folder: &Folder, arguments: &[&str]) -> Run {
        self.requests.lock().unwrap().clear();
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let store =
            format!("s3://bucket/audit?region=us-east-1&path_style=true&endpoint={endpoint}");
        let mut command = folder.command(&[&["--store", &store], arguments].concat());
        command.env("AWS_ACCESS_KEY_ID", "access").env("AWS_SECRET_ACCESS_KEY", "secret");
        run(&mut command)
    }

    /// The requests for objects.
    fn gets(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|path| path.ends_with(".json")).cloned().collect()
    }
}

fn serve(stream: TcpStream, objects: &Objects, requests: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap().to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        requests.lock().unwrap().push(path.to_owned());
        let key = path.trim_start_matches("/bucket").trim_start_matches('/');
        let (status, body) = match objects.get(key) {
            Some(body) => ("200 OK", body.clone()),
            None if query.contains("list-type=2") => ("200 OK", listing(objects, query)),
            None => ("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"e\"\r\n\
             last-modified: Wed, 28 Jan 2026 09:15:00 GMT\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        if method != "HEAD" {
            stream.write_all(&body).unwrap();
        }
    }
}

/// All keys on one page, or all common prefixes if a delimiter is asked for.
fn listing(objects: &Objects, query: &str) -> Vec<u8> {
    let parameter = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        value.unwrap_or_default().replace("%2F", "/")
    };
    let (prefix, delimiter) = (parameter("prefix"), parameter("delimiter"));
    let mut items = Vec::new();
    for (key, body) in objects.iter() {
        let Some(rest) = key.strip_prefix(&prefix) else { continue };
        let item = match rest.find('/').filter(|_| !delimiter.is_empty()) {
            Some(end) => {
                let name = &key[..=prefix.len() + end];
                format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>")
            }
            None => format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-28T09:15:00.000Z</LastModified>\
                 <ETag>e</ETag><Size>{}</Size></Contents>",
                body.len()
            ),
        };
        if items.last() != Some(&item) {
            items.push(item);
        }
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>bucket</Name>\
         <Prefix>{prefix}</Prefix><KeyCount>{}</KeyCount><MaxKeys>1000</MaxKeys>\
         <IsTruncated>false</IsTruncated>{}</ListBucketResult>",
        items.len(),
        items.concat()
    )
    .into_bytes()
}

/// A bucket with 100 entries of one day, and their ids.
fn bucket() -> (Folder, Endpoint, Vec<String>) {
    let folder = Folder::new();
    let line = |n| {
        format!(r#"{{"input": "q{n}", "output": "a", "timestamp": "2026-01-28T09:15:00Z"}}"#) + "\n"
    };
    folder.write("in.jsonl", &(0..100).map(line).collect::<String>());
    folder.ok(&["import", "in.jsonl"]);
    let (mut objects, mut ids) = (BTreeMap::new(), Vec::new());
    for line in folder.ok(&["list", "--format", "json"]).lines() {
        let id = json(line)["id"].as_str().unwrap().to_owned();
        objects.insert(format!("audit/2026-01-28/{id}.json"), line.as_bytes().to_vec());
        ids.push(id);
    }
    (folder, Endpoint::start(objects), ids)
}

#[test]
fn commands_about_one_entry_read_one_object() {
    let (folder, endpoint, ids) = bucket();
    let stored = folder.ok(&["get", &ids[50]]);
    // Entries are listed. To count each call once, they are read: only an entry says that it is an end.
    for (phase, gets) in [("all", 0), ("latest", 100)] {
        let run = endpoint.run(&folder, &["count", "--phase", phase]);
        assert_eq!((run.stdout.as_str(), endpoint.gets().len()), ("100\n", gets), "{run:?}");
    }
    for arguments in [
        &["get", &ids[50]][..],
        &["get", "--raw", &ids[50]],
        &["get", "--decrypt", &ids[50]],
        &["show", &ids[50]],
        &["delete", "--dry-run", &ids[50]],
    ] {
        let run = endpoint.run(&folder, arguments);
        assert_eq!(run.status, Some(0), "{run:?}");
        assert!(run.stdout.contains(&ids[50]), "{run:?}");
        assert_eq!(endpoint.gets().len(), 1, "{arguments:?}: {:?}", endpoint.gets());
        if arguments[0] == "get" {
            assert_eq!(run.stdout, stored);
        }
    }
}
