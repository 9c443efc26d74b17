//! The Merkle tree over HTTP, as monitors and witnesses read it (C2SP tlog-tiles).

use std::collections::BTreeMap;

use crate::common::{NDJSON, TestServer, interaction};
use attestry::evidence::{EvidenceOptions, SigningKey, Tile};
use tlog_tiles::tlog;

async fn grow(server: &TestServer, count: usize) {
    let lines: String =
        (0..count).map(|n| format!("{}\n", interaction(&n.to_string(), ""))).collect();
    assert_eq!(server.post("/v1/entries", NDJSON, lines).await.status.as_u16(), 200);
}

fn signing() -> EvidenceOptions {
    EvidenceOptions::new(SigningKey::generate("a.example/log").unwrap()).every_entries(1)
}

/// Size and note of the checkpoint, once it covers at least `size` leaves.
async fn checkpoint(server: &TestServer, size: u64) -> (u64, String) {
    loop {
        let answer = server.get("/checkpoint").await;
        let found = answer.text().lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0);
        if answer.status.as_u16() == 200 && found >= size {
            assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
            assert_eq!(answer.headers["cache-control"], "private, no-cache");
            return (found, answer.text());
        }
    }
}

struct Tiles(BTreeMap<String, Vec<u8>>);

impl tlog_tiles::TileReader for Tiles {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        // `tlog_tiles` uses Go's path, which contains the height; C2SP omits it.
        let path = |tile: &tlog_tiles::Tile| tile.path().replacen("tile/8/", "tile/", 1);
        Ok(tiles.iter().map(|tile| self.0[&path(tile)].clone()).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

#[tokio::test]
async fn tiles_are_read_by_another_client() {
    let server = TestServer::with(|options| options, |open| open.evidence(signing())).await;
    let mut before = 0;
    for count in [3, 252, 1, 300] {
        grow(&server, count).await;
        let (size, note) = checkpoint(&server, before + count as u64).await;
        let mut tiles = BTreeMap::new();
        for tile in Tile::of_tree(0, size) {
            let answer = server.get(&format!("/{tile}")).await;
            assert_eq!(answer.status.as_u16(), 200, "{tile}");
            assert_eq!(answer.headers["content-type"], "application/octet-stream");
            let immutable = answer.headers["cache-control"].to_str().unwrap().contains("immutable");
            assert_eq!(immutable, tile.width() == 256, "{tile}");
            tiles.insert(tile.to_string(), answer.body.to_vec());
        }
        let root = tlog::Hash::parse_hash(note.lines().nth(2).unwrap()).unwrap();
        let tiles = Tiles(tiles);
        // The client verifies each tile against the root.
        let client = tlog_tiles::TileHashReader::new(size, root, &tiles);
        assert!(tlog::tree_hash(size, &client).unwrap() == root);
        for leaf in [0, size / 2, size - 1] {
            tlog::prove_record(size, leaf, &client).unwrap();
        }
        if before > 0 {
            tlog::prove_tree(size, before, &client).unwrap();
        }
        before = size;
    }
    // A partial tile stays available when its tile is full: a monitor may have an older checkpoint.
    assert_eq!(server.get("/tile/0/000.p/3").await.body.len(), 3 * 32);
    for missing in
        ["tile/0/002.p/200", "tile/0/005", "tile/1/000.p/9", "tile/0/1", "tile/x", "tile/64/000"]
    {
        server.get(&format!("/{missing}")).await.problem(404);
    }
    assert!(server.get("/tile/entries/000").await.problem(404).contains("publish the entries"));
}

#[tokio::test]
async fn tree_is_public_only_if_configured() {
    let folder = tempfile::tempdir().unwrap();
    let (token, _) = attestry_serve::Token::generate("a", attestry_serve::Role::Read).unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, format!("{token}\n")).unwrap();
    let logger = attestry::open(folder.path().join("audit")).evidence(signing()).await.unwrap();
    logger.log(attestry::Interaction::new("a", "b")).await.unwrap();
    let server =
        TestServer::serve(folder, logger, |o| o.tokens(tokens.clone()).public_tree(true)).await;
    checkpoint(&server, 1).await;
    assert_eq!(server.get("/tile/0/000.p/1").await.status.as_u16(), 200);
    for private in ["/v1/entries", "/v1/stats", "/metrics"] {
        server.get(private).await.problem(401);
    }
    let folder = server.shut_down().await;
    let logger = attestry::open(folder.path().join("audit")).await.unwrap();
    let server = TestServer::serve(folder, logger, |o| o.tokens(tokens)).await;
    for private in ["/checkpoint", "/tile/0/000.p/1"] {
        server.get(private).await.problem(401);
    }
}
