//! Replays the fuzz corpus of `rigs/fuzz/`.
#![allow(clippy::unwrap_used)] // helpers outside of the test functions

pub mod properties;

use std::fs;
use std::path::{Path, PathBuf};

use attestry_evidence::proof::{consistency, inclusion};
use attestry_evidence::{
    Checkpoint, ConsistencyProof, ErasureRecord, InclusionProof, Record, WitnessKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use properties::{LOG, RECORD, WITNESS, note, proof, root};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rigs/fuzz/corpus").join(target)
}

fn replay(target: &str, property: fn(&[u8])) {
    let files = fs::read_dir(corpus(target)).unwrap().map(|item| item.unwrap().path());
    let inputs: Vec<_> = files.map(|path| fs::read(path).unwrap()).collect();
    assert!(inputs.len() > 8, "the corpus is in rigs/fuzz/corpus");
    for input in &inputs {
        (0..=input.len()).for_each(|cut| property(&input[..cut]));
    }
}

#[test]
fn texts_of_the_corpus() {
    replay("note", note);
}

#[test]
fn proofs_of_the_corpus() {
    replay("proof", proof);
}

fn cosigned(note: &str) -> String {
    let secret = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let key: WitnessKey = WITNESS.parse().unwrap();
    let (text, _) = note.split_once("\n\n").unwrap();
    let signed = format!("cosignature/v1\ntime 1769904000\n{text}\n");
    let id = WITNESS.split('+').nth(1).and_then(|id| u32::from_str_radix(id, 16).ok());
    let signature = secret.sign(signed.as_bytes()).to_bytes();
    let mut material = id.unwrap().to_be_bytes().to_vec();
    material.extend_from_slice(&1_769_904_000_u64.to_be_bytes());
    material.extend_from_slice(&signature);
    format!("{note}— {} {}\n", key.name(), STANDARD.encode(material))
}

/// The seeds of the corpus. Findings are added by hand.
#[test]
fn corpus_has_all_seeds() {
    let at = |size: u64| String::from(LOG.key.sign(size, root(size).unwrap()));
    let old = |old, new| consistency(old, new, &mut &LOG.tiles).unwrap();
    let path = |index, size| inclusion(index, size, &mut &LOG.tiles).unwrap();
    let inclusion = InclusionProof::new(5, path(5, 21), at(21));
    let record = ErasureRecord::new(
        2,
        3,
        ErasureRecord::range_hash(LOG.leaves[2..5].iter().copied()),
        "2026-01-28T09:15:00.000123".parse().unwrap(),
        "why\n\"so\" ✓",
        "who",
    );
    let texts = [
        ("checkpoint", Checkpoint::new("o", 21, root(21).unwrap()).unwrap().to_string()),
        ("checkpoint-with-extensions", format!("o\n21\n{}\none\nand two\n", root(21).unwrap())),
        ("signed-empty", at(0)),
        ("signed", at(21)),
        ("cosigned", cosigned(&at(21))),
        ("inclusion", inclusion.to_string()),
        ("inclusion-with-extra", inclusion.with_extra(b"more".to_vec()).to_string()),
        ("inclusion-of-one", InclusionProof::new(0, path(0, 1), at(1)).to_string()),
        ("growth", ConsistencyProof::new(6, old(6, 21), cosigned(&at(21))).to_string()),
        ("growth-from-nothing", ConsistencyProof::new(0, old(0, 21), at(21)).to_string()),
        ("erasure", record.unwrap().to_line()),
        ("record", RECORD.to_string()),
        ("record-line", Record::from(RECORD.clone()).to_line()),
        ("tile", "tile/0/x001/x234/067.p/17".to_owned()),
        ("hash", root(21).unwrap().to_string()),
        ("key", LOG.key.public().to_string()),
        ("key-of-witness", WITNESS.to_owned()),
        ("key-secret", LOG.key.expose_secret().to_string()),
    ];
    for (name, text) in texts {
        let path = corpus("note").join(name);
        if std::env::var_os("ATTESTRY_WRITE_CORPUS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name}");
    }
    let opened = LOG.policy.open(cosigned(&at(21))).unwrap();
    assert_eq!(opened.cosignatures().len(), 1, "the cosignature is valid");
}
