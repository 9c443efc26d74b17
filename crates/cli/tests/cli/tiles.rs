//! `export --tiles`, read by the client of `tlog_tiles` from a static web server.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::Folder;
use attestry::evidence::Tile;
use tlog_tiles::tlog;

/// A static web server of Python's standard library.
struct WebServer {
    process: Child,
    address: String,
}

impl WebServer {
    fn start(folder: &Path) -> Self {
        let script = "import http.server as h\n\
            s=h.ThreadingHTTPServer(('127.0.0.1',0),h.SimpleHTTPRequestHandler)\n\
            print(s.server_port,flush=True)\ns.serve_forever()";
        let mut process = Command::new("python3")
            .args(["-c", script])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need python3");
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { process, address: format!("127.0.0.1:{}", port.trim()) }
    }

    /// The body of the response; `None` if it is not 200.
    fn get(&self, path: &str) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET /{path} HTTP/1.0\r\n\r\n").unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        let head = response.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        response.starts_with(b"HTTP/1.0 200 ").then(|| response.split_off(head + 4))
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl tlog_tiles::TileReader for WebServer {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        // `tlog_tiles` uses Go's path, which contains the height; C2SP omits it.
        let path = |tile: &tlog_tiles::Tile| tile.path().replacen("tile/8/", "tile/", 1);
        Ok(tiles.iter().map(|tile| self.get(&path(tile)).unwrap()).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

/// Appends `count` entries and signs a checkpoint, which is returned.
fn grow(folder: &Folder, count: usize) -> String {
    // An interaction that is imported twice is stored once.
    let number = fs::read_dir(folder.path("")).unwrap().count();
    let name = format!("{number}.jsonl");
    let line = |n| format!("{{\"input\": \"{number}.{n}\", \"output\": \"a\"}}\n");
    folder.write(&name, &(0..count).map(line).collect::<String>());
    folder.ok(&["--signing-key", "signing.key", "import", &name]);
    folder.ok(&["checkpoint", "--latest"])
}

fn with_key() -> Folder {
    let folder = Folder::new();
    folder.ok(&["key", "generate", "--signing", "--name", "a.example/log", "--out", "signing.key"]);
    folder
}

/// The files below `folder` with their contents.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for item in fs::read_dir(next).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn paths_of(size: u64) -> Vec<String> {
    let mut paths: Vec<_> = Tile::of_tree(0, size).map(|tile| tile.to_string()).collect();
    paths.push("checkpoint".to_owned());
    paths.sort();
    paths
}

#[test]
fn exported_tiles_are_read_by_another_client_from_a_static_server() {
    let folder = with_key();
    let export = ["export", "--tiles", "www"];
    let mut before = 0;
    let mut server = None;
    for (count, tiles) in [(3, "1 tile "), (252, "1 tile "), (1, "2 tiles "), (300, "3 tiles ")] {
        let note = grow(&folder, count);
        let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
        assert_eq!(size, before + count as u64);
        folder.run(&export).expect(0, &format!("wrote {tiles}of the tree of {size} leaves"));
        let server = server.get_or_insert_with(|| WebServer::start(&folder.path("www")));
        // The client verifies each tile against the root.
        let checkpoint = String::from_utf8(server.get("checkpoint").unwrap()).unwrap();
        assert_eq!(checkpoint, note);
        let root: tlog::Hash = tlog::Hash::parse_hash(checkpoint.lines().nth(2).unwrap()).unwrap();
        let client = tlog_tiles::TileHashReader::new(size, root, &*server);
        assert!(tlog::tree_hash(size, &client).unwrap() == root);
        for leaf in 0..size {
            let line = server_leaf(server, leaf, size);
            let proof = tlog::prove_record(size, leaf, &client).unwrap();
            tlog::check_record(&proof, size, root, leaf, line).unwrap();
        }
        if before > 0 {
            tlog::prove_tree(size, before, &client).unwrap();
        }
        before = size;
    }
    let files = files(&folder.path("www"));
    assert!(files.keys().all(|path| !path.ends_with(".tmp")), "{:?}", files.keys());
    assert!(!files.contains_key("tile/0/000.p/3"), "partial tiles of a full one are removed");
    assert!(!files.contains_key("tile/entries/000"), "content is not published");
    for path in paths_of(before) {
        assert!(files.contains_key(&path), "{path}");
    }
    folder.run(&export).expect(0, "wrote 0 tiles");
}

/// The hash of a leaf, from the tile that contains it.
fn server_leaf(server: &WebServer, leaf: u64, size: u64) -> tlog::Hash {
    let tile = Tile::holding(0, leaf, size).unwrap();
    let bytes = server.get(&tile.to_string()).unwrap();
    let at = (leaf % 256) as usize * 32;
    tlog::Hash(bytes[at..at + 32].try_into().unwrap())
}

#[test]
fn export_in_steps_equals_export_at_once() {
    let folder = with_key();
    for count in [255, 1, 1, 600] {
        grow(&folder, count);
        folder.ok(&["export", "--tiles", "steps"]);
    }
    folder.ok(&["export", "--tiles", "once"]);
    let (steps, once) = (files(&folder.path("steps")), files(&folder.path("once")));
    assert_eq!(once.keys().cloned().collect::<Vec<_>>(), paths_of(857));
    for (path, bytes) in once {
        assert_eq!(steps.get(&path), Some(&bytes), "{path}");
    }
}

#[test]
fn folder_of_another_log_is_left_alone() {
    let folder = with_key();
    grow(&folder, 3);
    folder.run(&["export", "--tiles", "www", "--provider", "x"]).expect(2, "takes no conditions");
    folder.run(&["export", "--tiles", "www", "--out", "y"]).expect(2, "cannot be used with");
    folder.run(&["export"]).expect(2, "--out");
    for other in ["not a checkpoint\n".to_owned(), {
        let second = with_key();
        grow(&second, 4);
        second.ok(&["export", "--tiles", "www"]);
        fs::read_to_string(second.path("www/checkpoint")).unwrap()
    }] {
        fs::create_dir_all(folder.path("www")).unwrap();
        fs::write(folder.path("www/checkpoint"), &other).unwrap();
        folder.run(&["export", "--tiles", "www"]).expect(2, "hint: name a new folder");
        assert_eq!(files(&folder.path("www")).len(), 1);
        assert_eq!(fs::read_to_string(folder.path("www/checkpoint")).unwrap(), other);
    }
}

#[test]
fn damaged_tree_is_not_published() {
    let folder = with_key();
    grow(&folder, 600);
    let leaves = folder.path("audit/.attestry/tree/tiles.0");
    for at in [40, 300 * 32, 599 * 32] {
        let good = fs::read(&leaves).unwrap();
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&leaves, &bad).unwrap();
        let run = folder.run(&["export", "--tiles", "www"]);
        assert!(matches!(run.status, Some(1 | 2)), "{run:?}");
        assert!(!folder.path("www/checkpoint").exists(), "{at}");
        fs::write(&leaves, &good).unwrap();
    }
    folder.ok(&["export", "--tiles", "www"]);
}
