//! A witness, written from the text of C2SP tlog-witness and tlog-cosignature.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use attestry_anchor::Witness;
use attestry_evidence::{Checkpoint, ConsistencyProof, Policy};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use super::log_key;
use super::server::{Request, Response, Server};

const SIZE: &str = "text/x.tlog.size";

/// A running witness. Its latest checkpoint is in `seen`.
#[derive(Clone)]
pub(crate) struct TestWitness {
    pub(crate) server: Server,
    pub(crate) seen: Arc<Mutex<Option<Checkpoint>>>,
    name: String,
    key: SigningKey,
}

impl TestWitness {
    pub(crate) fn start(name: &str) -> Self {
        let mut seed = [0; 32];
        seed[..name.len().min(32)].copy_from_slice(&name.as_bytes()[..name.len().min(32)]);
        let server = Server::start(|_| Response::Close);
        let key = SigningKey::from_bytes(&seed);
        let witness = Self { server, seen: Arc::default(), name: name.to_owned(), key };
        witness.heal();
        witness
    }

    /// Behaves as the specification says, from now on.
    pub(crate) fn heal(&self) {
        let witness = self.clone();
        self.server.now(move |request| witness.answer(request));
    }

    pub(crate) fn size(&self) -> u64 {
        self.seen.lock().unwrap().as_ref().map_or(0, Checkpoint::size)
    }

    /// The witness as its client knows it.
    pub(crate) fn client(&self) -> Witness {
        self.url_and_key().parse().unwrap()
    }

    pub(crate) fn url_and_key(&self) -> String {
        format!("{}+{}", self.server.url(), self.vkey())
    }

    pub(crate) fn vkey(&self) -> String {
        let id = self.id().map(|byte| format!("{byte:02x}")).concat();
        format!("{}+{id}+{}", self.name, STANDARD.encode(self.material()))
    }

    fn material(&self) -> Vec<u8> {
        [&[4], self.key.verifying_key().as_bytes().as_slice()].concat()
    }

    fn id(&self) -> [u8; 4] {
        let mut hash = Sha256::new();
        hash.update(format!("{}\n", self.name));
        hash.update(self.material());
        hash.finalize()[..4].try_into().unwrap()
    }

    /// The cosignature line of a checkpoint.
    pub(crate) fn cosign(&self, checkpoint: &Checkpoint) -> String {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let signed = format!("cosignature/v1\ntime {time}\n{checkpoint}");
        let signature = self.key.sign(signed.as_bytes()).to_bytes();
        let bytes = [&self.id()[..], &time.to_be_bytes(), &signature].concat();
        format!("— {} {}\n", self.name, STANDARD.encode(bytes))
    }

    /// The reply to a request.
    pub(crate) fn answer(&self, request: &Request) -> Response {
        assert_eq!(request.path, "/add-checkpoint");
        let body = str::from_utf8(&request.body).unwrap();
        let proof: ConsistencyProof = body.parse().unwrap();
        let Ok(opened) = Policy::new(log_key()).open(proof.checkpoint()) else {
            return Response::new(403, "text/plain", "unknown key\n");
        };
        let new = opened.checkpoint().clone();
        let mut seen = self.seen.lock().unwrap();
        let size = seen.as_ref().map_or(0, Checkpoint::size);
        if proof.old_size() > new.size() {
            return Response::new(400, "text/plain", "old size above the new one\n");
        }
        if proof.old_size() != size {
            return Response::new(409, SIZE, format!("{size}\n"));
        }
        let grown = match &*seen {
            Some(old) => proof.verify(old, &Policy::new(log_key())).is_ok(),
            None => proof.path().is_empty(),
        };
        if !grown {
            return Response::new(422, "text/plain", "bad proof\n");
        }
        let line = self.cosign(&new);
        *seen = Some(new);
        Response::new(200, "text/plain", line)
    }
}
