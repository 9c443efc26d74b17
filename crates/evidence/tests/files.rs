//! The text formats of proofs, and rejection of malformed ones.
#![allow(clippy::unwrap_used)] // helpers outside of the test functions

use attestry_evidence::{
    ConsistencyProof, Hash, InclusionProof, InvalidHash, InvalidProof, MemoryTiles, OpenError,
    Policy, ProofError, SigningKey, VerifyError, leaf_hash, proof,
};

fn key() -> SigningKey {
    SigningKey::from_seed("example.com/log", &[7; 32]).unwrap()
}

fn policy() -> Policy {
    Policy::new(key().public())
}

fn tiles() -> MemoryTiles {
    let mut tiles = MemoryTiles::new();
    tiles.extend((0..5).map(|leaf: u8| leaf_hash(&[leaf])));
    tiles
}

fn inclusion() -> InclusionProof {
    let path = proof::inclusion(2, 5, &mut &tiles()).unwrap();
    InclusionProof::new(2, path, key().sign(5, tiles().tree().root()))
}

#[test]
fn inclusion_proof_has_tlog_proof_format() {
    let proof = inclusion();
    let checkpoint = key().sign(5, tiles().tree().root());
    let hashes: String = proof.path().iter().map(|hash| format!("{hash}\n")).collect();
    let text = format!("c2sp.org/tlog-proof@v1\nindex 2\n{hashes}\n{checkpoint}");
    assert_eq!(proof.path().len(), 3);
    assert_eq!(proof.to_string(), text);
    assert_eq!(text.parse(), Ok(proof.clone()));
    assert!(proof.verify(leaf_hash(&[2]), &policy()).is_ok());

    let proof = proof.with_extra(b"agent".to_vec());
    let text = text.replace("index", "extra YWdlbnQ=\nindex");
    assert_eq!(proof.to_string(), text);
    assert_eq!(text.parse(), Ok(proof.clone()));
    assert_eq!(proof.extra(), Some(&b"agent"[..]));

    // A tree of one leaf: no hashes.
    let single = InclusionProof::new(0, Vec::new(), key().sign(1, leaf_hash(b"a")));
    assert!(single.to_string().starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nexample.com/log\n"));
    assert_eq!(single.to_string().parse(), Ok(single.clone()));
    assert!(single.verify(leaf_hash(b"a"), &policy()).is_ok());
}

#[test]
fn inclusion_proof_of_other_leaf_is_rejected() {
    let proof = inclusion();
    let not_included =
        |result| matches!(result, Err(VerifyError::Proof(ProofError::NotIncluded { .. })));
    assert!(not_included(proof.verify(leaf_hash(&[3]), &policy()).map(|_| ())));
    // Another index, another path, another tree.
    let moved: InclusionProof = proof.to_string().replace("index 2", "index 3").parse().unwrap();
    assert!(not_included(moved.verify(leaf_hash(&[2]), &policy()).map(|_| ())));
    let mut path = proof.path().to_vec();
    path[1] = Hash::EMPTY_TREE;
    let bent = InclusionProof::new(2, path, proof.checkpoint().to_owned());
    assert!(not_included(bent.verify(leaf_hash(&[2]), &policy()).map(|_| ())));
    let other = InclusionProof::new(2, proof.path().to_vec(), key().sign(5, leaf_hash(b"")));
    assert!(not_included(other.verify(leaf_hash(&[2]), &policy()).map(|_| ())));
    let beyond: InclusionProof = proof.to_string().replace("index 2", "index 5").parse().unwrap();
    assert_eq!(
        beyond.verify(leaf_hash(&[2]), &policy()),
        Err(VerifyError::Proof(ProofError::NoSuchLeaf { index: 5, size: 5 }))
    );
    // Altered checkpoints and those of another key are rejected first.
    let forged: InclusionProof = proof.to_string().replace("\n5\n", "\n6\n").parse().unwrap();
    assert!(matches!(
        forged.verify(leaf_hash(&[2]), &policy()),
        Err(VerifyError::Checkpoint(OpenError::BadSignature { .. }))
    ));
    let stranger = SigningKey::from_seed("example.com/log", &[8; 32]).unwrap();
    assert!(matches!(
        proof.verify(leaf_hash(&[2]), &Policy::new(stranger.public())),
        Err(VerifyError::Checkpoint(OpenError::NotSigned { .. }))
    ));
}

#[test]
fn malformed_inclusion_proofs_are_rejected() {
    let text = inclusion().to_string();
    let header = InvalidProof::Header { expected: "c2sp.org/tlog-proof@v1" };
    let hash = inclusion().path()[0].to_string();
    let hashes = format!("{hash}\n").repeat(64);
    for (text, error) in [
        (String::new(), header.clone()),
        (text.replace("@v1", "@v2"), header),
        (text.replace("index 2\n", ""), InvalidProof::Index),
        (text.replace("index 2", "index 02"), InvalidProof::Index),
        (text.replace("index 2", "index -2"), InvalidProof::Index),
        (text.replace("index", "extra !\nindex"), InvalidProof::Extra),
        (text.replace(&hash, "x"), InvalidProof::Hash { number: 1, source: InvalidHash }),
        (format!("c2sp.org/tlog-proof@v1\nindex 2\n{hashes}"), InvalidProof::TooLong),
        (text[..text.find("\n\n").unwrap() + 2].to_owned(), InvalidProof::NoCheckpoint),
        (text[..text.find("\n\n").unwrap()].to_owned(), InvalidProof::NoCheckpoint),
    ] {
        assert_eq!(text.parse::<InclusionProof>(), Err(error), "{text}");
    }
}

#[test]
fn consistency_proof_has_witness_format() {
    let tiles = tiles();
    let mut older = MemoryTiles::new();
    older.extend((0..3).map(|leaf: u8| leaf_hash(&[leaf])));
    let older = policy().open(key().sign(3, older.tree().root())).unwrap();

    let path = proof::consistency(3, 5, &mut &tiles).unwrap();
    let signed = key().sign(5, tiles.tree().root());
    let hashes: String = path.iter().map(|hash| format!("{hash}\n")).collect();
    let proof = ConsistencyProof::new(3, path, signed.clone());
    let text = format!("old 3\n{hashes}\n{signed}");
    assert_eq!(proof.to_string(), text);
    assert_eq!(text.parse(), Ok(proof.clone()));
    assert_eq!(proof.verify(older.checkpoint(), &policy()).unwrap().checkpoint().size(), 5);

    // A rewritten log: the same size, other leaves.
    let mut rewritten = MemoryTiles::new();
    rewritten.extend([9, 1, 2, 3, 4].map(|leaf: u8| leaf_hash(&[leaf])));
    let path = proof::consistency(3, 5, &mut &rewritten).unwrap();
    let lie = ConsistencyProof::new(3, path, key().sign(5, rewritten.tree().root()));
    assert_eq!(
        lie.verify(older.checkpoint(), &policy()),
        Err(VerifyError::Proof(ProofError::NotConsistent { old: 3, new: 5 }))
    );

    let smaller = ConsistencyProof::new(3, Vec::new(), key().sign(2, tiles.tree().root()));
    assert_eq!(
        smaller.verify(older.checkpoint(), &policy()),
        Err(VerifyError::Proof(ProofError::Shrunk { old: 3, new: 2 }))
    );
    let other = text.replace("old 3", "old 2").parse::<ConsistencyProof>().unwrap();
    assert_eq!(
        other.verify(older.checkpoint(), &policy()),
        Err(VerifyError::OtherSize { expected: 3, found: 2 })
    );
    let header = InvalidProof::Header { expected: "old " };
    assert_eq!(text.replace("old 3", "old 03").parse::<ConsistencyProof>(), Err(header));
}
