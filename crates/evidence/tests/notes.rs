//! Signed checkpoints, with keys and notes of other implementations.
#![allow(clippy::unwrap_used)] // helpers outside of the test functions

use attestry_core::Timestamp;
use attestry_evidence::{
    Hash, InvalidKey, InvalidPolicy, LogKey, OpenError, Policy, SignedCheckpoint, SigningKey,
    WitnessKey, leaf_hash,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use sha2::{Digest, Sha256};
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};

/// The keys in the documentation of Go's `sumdb/note`, and the signature it shows.
const PETER_SECRET: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn key() -> SigningKey {
    SigningKey::from_seed("example.com/audit", &[7; 32]).unwrap()
}

/// A witness, implemented without `attestry-evidence`.
struct Witness {
    name: &'static str,
    secret: ed25519_dalek::SigningKey,
    id: [u8; 4],
}

impl Witness {
    fn new(name: &'static str, seed: u8) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let mut sha = Sha256::new();
        sha.update(name);
        sha.update(b"\n\x04");
        sha.update(secret.verifying_key());
        let id = *sha.finalize().first_chunk().unwrap();
        Self { name, secret, id }
    }

    fn key(&self) -> WitnessKey {
        let material = [&[4], self.secret.verifying_key().as_bytes().as_slice()].concat();
        let id = u32::from_be_bytes(self.id);
        format!("{}+{id:08x}+{}", self.name, STANDARD.encode(material)).parse().unwrap()
    }

    fn cosign(&self, signed: &str, time: u64) -> String {
        self.cosign_text(&signed[..=signed.find("\n\n").unwrap()], time)
    }

    fn cosign_text(&self, text: &str, time: u64) -> String {
        let message = format!("cosignature/v1\ntime {time}\n{text}");
        let signature = self.secret.sign(message.as_bytes()).to_bytes();
        let material = [&self.id[..], &time.to_be_bytes(), &signature].concat();
        format!("— {} {}\n", self.name, STANDARD.encode(material))
    }
}

#[test]
fn keys_of_go_sumdb_note_parse() {
    let secret: SigningKey = PETER_SECRET.parse().unwrap();
    assert_eq!(secret.public().to_string(), PETER);
    assert_eq!(*secret.expose_secret(), PETER_SECRET);
    // The key signed it, but it is not a checkpoint.
    let policy = Policy::new(PETER.parse().unwrap());
    assert!(matches!(policy.open(PETER_NOTE), Err(OpenError::NotACheckpoint(_))));
    assert_eq!(
        policy.open(PETER_NOTE.replace("answer", "bnswer")),
        Err(OpenError::BadSignature { name: "PeterNeumann".into(), id: 0xc74f_20a3 })
    );
    // The key of a real witness.
    let text = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    assert_eq!(text.parse::<WitnessKey>().unwrap().to_string(), text);
}

#[test]
fn other_implementations_verify_checkpoints() {
    let root = leaf_hash(b"x");
    let signed = key().sign(1, root).to_string();
    assert!(signed.starts_with(&format!("example.com/audit\n1\n{root}\n\n— example.com/audit ")));

    let verifier = StandardVerifier::new(&key().public().to_string()).unwrap();
    let note = Note::from_bytes(signed.as_bytes()).unwrap();
    let (good, unknown) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((good.len(), unknown.len()), (1, 0));
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.size()), ("example.com/audit", 1));
    assert_eq!(checkpoint.hash().0, *root.as_bytes());

    // Other implementations sign the same bytes with the key.
    let signer = StandardSigner::new(&key().expose_secret()).unwrap();
    let mut note = Note::new(note.text(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    assert_eq!(note.to_bytes(), signed.as_bytes());
}

#[test]
fn altered_checkpoint_byte_is_rejected() {
    let policy = Policy::new(key().public());
    let signed = key().sign(12, leaf_hash(b"x")).to_string();
    let opened = policy.open(&signed).unwrap();
    assert_eq!((opened.checkpoint().size(), opened.checkpoint().root()), (12, leaf_hash(b"x")));
    assert_eq!(opened.cosignatures(), []);
    for at in 0..signed.len() {
        let mut bytes = signed.clone().into_bytes();
        bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
        if let Ok(text) = String::from_utf8(bytes) {
            assert!(policy.open(&text).is_err(), "{text}");
        }
        if signed.is_char_boundary(at) {
            assert!(policy.open(&signed[..at]).is_err());
            assert!(policy.open(&signed[at..]).is_err() || at == 0);
        }
    }
}

#[test]
fn rejected_checkpoints_name_the_cause() {
    let policy = Policy::new(key().public());
    let signed = key().sign(12, leaf_hash(b"x")).to_string();
    assert_eq!(policy.open(""), Err(OpenError::NotANote));
    assert_eq!(policy.open(signed.replace('\n', "\r\n")), Err(OpenError::NotANote));

    let stranger = SigningKey::from_seed("example.com/audit", &[8; 32]).unwrap();
    let not_signed =
        Err(OpenError::NotSigned { name: "example.com/audit".into(), id: key().public().id() });
    assert_eq!(policy.open(stranger.sign(12, leaf_hash(b"x"))), not_signed);

    let id = key().public().id();
    let false_one = Err(OpenError::BadSignature { name: "example.com/audit".into(), id });
    assert_eq!(policy.open(signed.replacen("12", "13", 1)), false_one);
    // A valid signature after an invalid one of the same key changes nothing.
    let twice = signed.replacen("12", "13", 1);
    assert_eq!(policy.open(format!("{twice}{}", &signed[signed.find('—').unwrap()..])), false_one);

    let other = policy.clone().with_origin("example.com/other").open(&signed);
    let (expected, found) = ("example.com/other".to_owned(), "example.com/audit".to_owned());
    assert_eq!(other, Err(OpenError::OtherLog { expected, found }));

    let lie = key().sign(0, leaf_hash(b"x"));
    assert!(matches!(policy.open(&lie), Err(OpenError::NotACheckpoint(_))));
    assert!(policy.open(key().sign(0, Hash::EMPTY_TREE)).is_ok());
}

#[test]
fn signed_checkpoint_parses_only_notes_of_checkpoints() {
    let signed = key().sign(12, leaf_hash(b"x"));
    let text = signed.to_string();
    assert_eq!(text.parse::<SignedCheckpoint>().as_ref(), Ok(&signed));
    assert_eq!((signed.as_str(), signed.as_ref()), (&*text, &*text));
    // The form is checked, the signature is not.
    assert!(text.replacen("12", "13", 1).parse::<SignedCheckpoint>().is_ok());
    for malformed in ["", text.trim_end(), &text[..text.find('—').unwrap()]] {
        assert_eq!(malformed.parse::<SignedCheckpoint>(), Err(OpenError::NotANote));
    }
    let other = PETER_NOTE.parse::<SignedCheckpoint>();
    assert!(matches!(other, Err(OpenError::NotACheckpoint(_))));
}

#[test]
fn signatures_of_unknown_keys_are_ignored() {
    let policy = Policy::new(key().public());
    let signed = key().sign(12, leaf_hash(b"x")).to_string();
    let stranger = Witness::new("witness.example/w9", 9);
    let more = format!("{signed}{}", stranger.cosign(&signed, 5));
    assert_eq!(policy.open(&more), policy.open(&signed));
}

#[test]
fn policy_requires_enough_witnesses() {
    let all = [
        Witness::new("witness.example/w1", 1),
        Witness::new("witness.example/w2", 2),
        Witness::new("witness.example/w3", 3),
    ];
    let policy =
        Policy::new(key().public()).with_witnesses(all.iter().map(Witness::key), 2).unwrap();
    let signed = key().sign(12, leaf_hash(b"x")).to_string();
    let few = |found| Err(OpenError::TooFewWitnesses { needed: 2, found });
    assert_eq!(policy.open(&signed), few(0));

    let one = policy.add_cosignatures(&signed, &all[2].cosign(&signed, 1_679_315_147)).unwrap();
    assert_eq!(policy.open(&one), few(1));
    // The same witness again does not count for two.
    let same = format!("{one}{}", all[2].cosign(&signed, 1_679_315_148));
    assert_eq!(policy.open(&same), few(1));

    let answer = all[0].cosign(&signed, 1_679_315_150)
        + &Witness::new("witness.example/w9", 9).cosign(&signed, 5);
    let two = policy.add_cosignatures(&one, &answer).unwrap();
    assert_eq!(
        two.as_str().lines().count(),
        one.as_str().lines().count() + 1,
        "the stranger's line is left out"
    );
    assert_eq!(policy.add_cosignatures(&two, &answer).as_ref(), Ok(&two));
    let opened = policy.open(&two).unwrap();
    let seen: Vec<_> =
        opened.cosignatures().iter().map(|c| (&*c.witness, c.time().to_string())).collect();
    assert_eq!(
        seen,
        [
            ("witness.example/w3", "2023-03-20T12:25:47".to_owned()),
            ("witness.example/w1", "2023-03-20T12:25:50".to_owned()),
        ]
    );

    // Cosignatures without the log's own signature are not enough.
    let text = &signed[..=signed.find("\n\n").unwrap()];
    let unsigned = format!("{text}\n{}", &two.as_str()[signed.len()..]);
    assert!(matches!(policy.open(&unsigned), Err(OpenError::NotSigned { .. })));
}

#[test]
fn cosignature_covers_text_and_time() {
    let witness = Witness::new("witness.example/w1", 1);
    let policy = Policy::new(key().public()).with_witnesses([witness.key()], 1).unwrap();
    let signed = key().sign(12, leaf_hash(b"x")).to_string();
    let other = key().sign(13, leaf_hash(b"x")).to_string();
    let id = u32::from_be_bytes(witness.id);
    let false_one = Err(OpenError::BadSignature { name: witness.name.to_owned(), id });

    let moved = format!("{signed}{}", witness.cosign(&other, 5));
    assert_eq!(policy.open(&moved), false_one);
    assert_eq!(
        policy.add_cosignatures(&signed, &witness.cosign(&other, 5)).map(|_| ()),
        false_one.clone().map(|_| ())
    );

    let line = witness.cosign(&signed, 5);
    let mut material = STANDARD.decode(line.trim_end().rsplit_once(' ').unwrap().1).unwrap();
    material[11] = 6;
    let later = format!("— {} {}\n", witness.name, STANDARD.encode(&material));
    assert_eq!(policy.open(format!("{signed}{later}")), false_one);
    let short = format!("— {} {}\n", witness.name, STANDARD.encode(&material[..11]));
    assert_eq!(policy.open(format!("{signed}{short}")), false_one);
    let never = witness.cosign(&signed, 1 << 63);
    assert_eq!(policy.open(format!("{signed}{never}")), false_one);
    let late = format!("{signed}{}", witness.cosign(&signed, (1 << 63) - 1));
    assert_eq!(policy.open(&late).unwrap().cosignatures()[0].time(), Timestamp::MAX);

    // A log's key is not accepted as a witness's.
    let log = key().public().to_string();
    assert!(matches!(
        log.parse::<WitnessKey>(),
        Err(InvalidKey::OtherType { expected: 4, found: 1 })
    ));
}

#[test]
fn witness_response_cannot_extend_the_text() {
    let witness = Witness::new("witness.example/w1", 1);
    let policy = Policy::new(key().public()).with_witnesses([witness.key()], 1).unwrap();
    let signed = key().sign(12, leaf_hash(b"x")).to_string();
    // The witness signed a longer text that starts with the note.
    let longer = format!("{signed}more\n\n");
    let end = longer.len() - 1;
    let mut cosigned = witness.cosign_text(&longer[..end], 5);
    cosigned.insert_str(0, "more\n\n");
    let good = Note::from_bytes(format!("{signed}{cosigned}").as_bytes()).unwrap();
    assert_eq!(good.text(), &longer.as_bytes()[..end]);
    assert_eq!(policy.add_cosignatures(&signed, &cosigned), Err(OpenError::NotANote));
    let line = witness.cosign(&signed, 5);
    assert_eq!(policy.add_cosignatures(signed.trim_end(), &line), Err(OpenError::NotANote));
}

#[test]
fn invalid_policies_are_rejected() {
    let witness = Witness::new("witness.example/w1", 1);
    let policy = || Policy::new(key().public());
    assert_eq!(
        policy().with_witnesses([witness.key()], 2).unwrap_err(),
        InvalidPolicy::TooFewKnown { needed: 2, known: 1 }
    );
    let again = Witness::new("witness.example/w2", 1);
    assert_eq!(
        policy().with_witnesses([witness.key(), again.key()], 1).unwrap_err(),
        InvalidPolicy::Twice { name: "witness.example/w2".into() }
    );
    let log = Witness::new("witness.example/self", 7);
    assert_eq!(
        policy().with_witnesses([log.key()], 1).unwrap_err(),
        InvalidPolicy::Twice { name: "witness.example/self".into() }
    );
}

#[test]
fn malformed_keys_are_rejected() {
    let mistyped = PETER.replace("PeterN", "Petern");
    let upper = PETER.replace("c74f20a3", "C74F20A3");
    let short = PETER.replace("ARpc2Qc", "ARpc2Q");
    let ecdsa = PETER.replace("+ARpc", "+Agpc");
    let small_order = {
        // The point of order one, for which signatures need no secret key.
        let mut point = [0; 32];
        point[0] = 1;
        let material = [&[1], point.as_slice()].concat();
        let id = signed_note::key_id("weak", &material);
        format!("weak+{id:08x}+{}", STANDARD.encode(material))
    };
    for (text, expected) in [
        (mistyped.as_str(), InvalidKey::WrongHash),
        (&upper, InvalidKey::WrongHash),
        (&short, InvalidKey::NotBase64),
        (&ecdsa, InvalidKey::OtherType { expected: 1, found: 2 }),
        (&small_order, InvalidKey::Weak),
        (&PETER.replace("Peter", "Peter "), InvalidKey::Name),
        (&PETER["PeterNeumann".len()..], InvalidKey::Name),
    ] {
        assert_eq!(text.parse::<LogKey>(), Err(expected), "{text}");
    }
    for text in ["", "a", "a+b", PETER_SECRET] {
        assert!(text.parse::<LogKey>().is_err(), "{text}");
    }

    let secret = |text: &str| text.parse::<SigningKey>().map(|key| key.public()).unwrap_err();
    assert!(matches!(secret(PETER), InvalidKey::Malformed { .. }));
    assert_eq!(secret(&PETER_SECRET.replace("c7", "c8")), InvalidKey::WrongHash);
    assert_eq!(secret(&PETER_SECRET[..PETER_SECRET.len() - 1]), InvalidKey::NotBase64);
    for name in ["", "two words", "a+b", "a\nb", "a\u{7f}", &"x".repeat(256)] {
        assert_eq!(SigningKey::generate(name).map(|_| ()), Err(InvalidKey::Name), "{name:?}");
    }
}

#[test]
fn secret_keys_are_not_shown() {
    let key = SigningKey::generate("example.com/audit").unwrap();
    let text = key.expose_secret();
    assert_eq!(text.parse::<SigningKey>().unwrap().public(), key.public());
    let secret = text.rsplit('+').next().unwrap();
    assert!(!format!("{key:?}").contains(secret));
    let other = SigningKey::generate("example.com/audit").unwrap();
    assert_ne!(other.public(), key.public());
    // Errors contain no part of the malformed key.
    let error = text[..text.len() - 1].parse::<SigningKey>().unwrap_err();
    assert_eq!(format!("{error:?} {error}"), format!("NotBase64 {}", InvalidKey::NotBase64));
}

/// A key signs once; a second signature of it is valid, too, or the note is forged.
#[test]
fn false_second_signature_of_a_known_key_is_refused() {
    let signed = key().sign(3, leaf_hash(b"x"));
    let witness = Witness::new("witness.example/1", 9);
    let policy = Policy::new(key().public()).with_witnesses([witness.key()], 1).unwrap();
    let good = witness.cosign(signed.as_str(), 1_700_000_000);
    let noted = format!("{}{good}", signed.as_str());
    policy.open(&noted).unwrap();
    // The same line again, and another valid cosignature of the witness.
    let later = witness.cosign(signed.as_str(), 1_700_000_001);
    policy.open(format!("{noted}{good}{later}")).unwrap();

    let forged = |line: &str| {
        let (name, base64) = line.trim_end().rsplit_once(' ').unwrap();
        let mut bytes = STANDARD.decode(base64).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        format!("{name} {}\n", STANDARD.encode(bytes))
    };
    let own = signed.as_str().lines().last().unwrap();
    for false_line in [forged(own), forged(&good)] {
        let error = policy.open(format!("{noted}{false_line}")).unwrap_err();
        assert!(matches!(error, OpenError::BadSignature { .. }), "{error:?}");
    }
    let error = policy.add_cosignatures(&noted, &forged(&good)).unwrap_err();
    assert!(matches!(error, OpenError::BadSignature { .. }), "{error:?}");
    // Unknown keys are ignored, false or not.
    let other = Witness::new("witness.example/2", 10).cosign(signed.as_str(), 1);
    policy.open(format!("{noted}{other}{}", forged(&other))).unwrap();
}
