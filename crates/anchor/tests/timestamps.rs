//! Timestamps by `openssl ts`, verified by Attestry and by `openssl ts -verify`; and replies that are refused.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attestry_anchor::{
    Dispatcher, HttpClient, TimestampAuthority, TimestampError, TimestampRoots, VerifiedTimestamp,
    verify_timestamp,
};
use attestry_core::Timestamp;
use attestry_file::FileStorage;
use support::server::{Response, Server};
use support::tsa::{Authority, Keys, openssl};
use support::{grow, quick, store, until};

const MINUTE: Duration = Duration::from_secs(60);

fn roots(authority: &Authority, name: &str) -> TimestampRoots {
    TimestampRoots::from_pem(&fs::read(authority.path(name)).unwrap()).unwrap()
}

fn serve(authority: Authority) -> (Arc<Authority>, Server) {
    let authority = Arc::new(authority);
    let answering = Arc::clone(&authority);
    (authority, Server::start(move |request| answering.answer(request)))
}

fn client(server: &Server) -> TimestampAuthority {
    TimestampAuthority::new(&server.url(), HttpClient::new().unwrap()).unwrap()
}

fn start(store: &Arc<FileStorage>, authority: TimestampAuthority) -> Dispatcher {
    quick().anchor(authority).start(store.clone()).unwrap()
}

/// A stamped note and the reply of an authority.
async fn stamped(authority: Authority) -> (Arc<Authority>, Vec<u8>, Vec<u8>) {
    let (_guard, store) = store().await;
    let (authority, server) = serve(authority);
    let dispatcher = start(&store, client(&server));
    grow(&store, 3).await;
    dispatcher.close(MINUTE).await;
    let path = store.timestamps().await.unwrap().remove(0);
    let stored = store.read_timestamp(&path).await.unwrap();
    (authority, stored.checkpoint.as_str().as_bytes().to_vec(), stored.reply)
}

#[tokio::test]
async fn each_checkpoint_is_stamped_and_verified_by_two_programs() {
    for keys in [Keys::Rsa, Keys::P384] {
        let (_guard, store) = store().await;
        let (authority, server) = serve(Authority::new(keys));
        let dispatcher = start(&store, client(&server).roots(roots(&authority, "ca.pem")));
        let before = Timestamp::now().unix_micros() - 1_000_000;
        for count in 1..=3 {
            grow(&store, 5).await;
            until("it is stamped", || dispatcher.status()[0].handed_over == count).await;
        }
        assert_eq!(dispatcher.close(MINUTE).await[0].failed, 0);
        let paths = store.timestamps().await.unwrap();
        assert_eq!(paths.len(), 3);
        let roots = roots(&authority, "ca.pem");
        for (path, leaves) in paths.iter().zip([5, 10, 15]) {
            let stored = store.read_timestamp(path).await.unwrap();
            let note = stored.checkpoint.as_str();
            assert_eq!(note.lines().nth(1), Some(&*format!("{leaves}")));
            let found = verify_timestamp(&stored.reply, note.as_bytes(), &roots).unwrap();
            let micros = found.time.unix_micros();
            assert!((before..=Timestamp::now().unix_micros()).contains(&micros), "{found:?}");
            assert_eq!(found.accuracy, Some(Duration::from_millis(1_500)));
            assert_eq!(found.policy, "1.2.3.4.1");
            // The files are beside each other.
            let name = path.file_name().unwrap().to_str().unwrap();
            let note_name = format!("{}.checkpoint", name.split_once('.').unwrap().0);
            let ca = authority.path("ca.pem").display().to_string();
            let verify = ["ts", "-verify", "-data", &note_name, "-in", name, "-CAfile", &ca];
            openssl(path.parent().unwrap(), &verify).unwrap();
        }
    }
}

#[tokio::test]
async fn altered_replies_are_refused_without_a_panic() {
    let (authority, note, reply) = stamped(Authority::new(Keys::P384)).await;
    let roots = roots(&authority, "ca.pem");
    let good = verify_timestamp(&reply, &note, &roots).unwrap();
    let mut accepted = 0;
    for at in 0..reply.len() {
        let mut altered = reply.clone();
        altered[at] ^= if at % 2 == 0 { 0x01 } else { 0x80 };
        // Some bytes are not signed, such as the status or certificates that are not needed.
        if let Ok(found) = verify_timestamp(&altered, &note, &roots) {
            assert_eq!(found, good, "byte {at}");
            accepted += 1;
        }
        assert!(verify_timestamp(&reply[..at], &note, &roots).is_err(), "cut to {at}");
    }
    assert!(accepted < reply.len() / 10, "{accepted} of {}", reply.len());
    assert!(verify_timestamp(&[&reply[..], b"\0"].concat(), &note, &roots).is_err());
    let other = [&note[..], b"x"].concat();
    assert_eq!(verify_timestamp(&reply, &other, &roots), Err(TimestampError::OtherImprint));
}

#[tokio::test]
async fn only_trusted_certificates_for_timestamps_count() {
    let verified = |authority: &Authority,
                    note: &[u8],
                    reply: &[u8]|
     -> Result<VerifiedTimestamp, TimestampError> {
        verify_timestamp(reply, note, &roots(authority, "ca.pem"))
    };
    let (authority, note, reply) = stamped(Authority::new(Keys::P384)).await;
    // An intermediate certificate may be the root.
    verify_timestamp(&reply, &note, &roots(&authority, "sub.pem")).unwrap();
    let stranger = Authority::new(Keys::P384);
    let refused = verified(&stranger, &note, &reply).unwrap_err();
    assert!(matches!(refused, TimestampError::Certificate { .. }), "{refused}");
    // It had expired when the timestamp was made.
    let expired = Authority::with(Keys::P384, PURPOSE, "-1");
    let (expired, note, reply) = stamped(expired).await;
    let refused = verified(&expired, &note, &reply).unwrap_err();
    assert!(matches!(refused, TimestampError::Certificate { .. }), "{refused}");
}

const PURPOSE: &str = "extendedKeyUsage=critical,timeStamping";

#[tokio::test]
async fn certificates_for_other_purposes_do_not_count() {
    let kinds = [
        (PURPOSE, true),
        ("extendedKeyUsage=serverAuth", false),
        ("extendedKeyUsage=timeStamping", false),
        ("extendedKeyUsage=critical,timeStamping,serverAuth", false),
        ("subjectKeyIdentifier=hash", false),
        ("extendedKeyUsage=critical,timeStamping\nbasicConstraints=CA:TRUE", false),
    ];
    let authority = Authority::new(Keys::P384);
    for (number, (extensions, _)) in kinds.iter().enumerate() {
        authority.certify(&format!("other{number}"), extensions);
    }
    let (authority, note, reply) = stamped(authority).await;
    let roots = roots(&authority, "ca.pem");
    for (number, (extensions, accepted)) in kinds.into_iter().enumerate() {
        // `openssl ts -reply` refuses such certificates, so the time is signed again by other means.
        let resigned = authority.sign_again(&reply, &format!("other{number}"));
        match verify_timestamp(&resigned, &note, &roots) {
            Ok(_) => assert!(accepted, "{extensions}"),
            Err(TimestampError::Certificate { reason }) => {
                assert!(!accepted, "{extensions}: {reason}");
            }
            Err(other) => panic!("{extensions}: {other}"),
        }
    }
}

#[tokio::test]
async fn replies_that_do_not_answer_the_request_are_not_stored() {
    let (authority, note, reply) = stamped(Authority::new(Keys::P384)).await;
    drop(note);
    let (_guard, store) = store().await;
    let answer: Arc<Mutex<Option<Response>>> = Arc::default();
    let server = {
        let (authority, answer) = (Arc::clone(&authority), Arc::clone(&answer));
        Server::start(move |request| {
            let scripted = answer.lock().unwrap().clone();
            scripted.unwrap_or_else(|| authority.answer(request))
        })
    };
    let stranger = Authority::new(Keys::P384);
    let ok = |body: &[u8]| Some(Response::new(200, "application/timestamp-reply", body));
    // A granted status without a token; a refusal.
    let empty = [0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x00];
    let refusal = [0x30, 0x0b, 0x30, 0x09, 0x02, 0x01, 0x02, 0x30, 0x04, 0x0c, 0x02, b'n', b'o'];
    let faults = [
        ("the nonce differs", ok(&reply)),
        ("not DER", ok(b"")),
        ("reply of a timestamp authority", ok(b"<html>")),
        ("reply of a timestamp authority", ok(&empty)),
        ("refused the request with status 2: no", ok(&refusal)),
        ("status 500", Some(Response::new(500, "text/plain", "down"))),
        ("no reply", Some(Response::Close)),
    ];
    let client = client(&server).roots(roots(&authority, "ca.pem"));
    let dispatcher = start(&store, client);
    *answer.lock().unwrap() = faults[0].1.clone();
    grow(&store, 3).await;
    for (message, fault) in faults {
        *answer.lock().unwrap() = fault;
        let seen = || dispatcher.status()[0].last_error.clone().unwrap_or_default();
        until(message, || seen().contains(message)).await;
        assert!(store.timestamps().await.unwrap().is_empty());
    }
    // An authority with other certificates.
    server.now(move |request| stranger.answer(request));
    let seen = || dispatcher.status()[0].last_error.clone().unwrap_or_default();
    until("it is not trusted", || seen().contains("is not trusted")).await;
    server.now(move |request| authority.answer(request));
    until("it is stamped", || dispatcher.status()[0].held.is_some()).await;
    assert_eq!(store.timestamps().await.unwrap().len(), 1);
}

#[tokio::test]
async fn interval_holds_across_processes() {
    let (_guard, store) = store().await;
    let (_authority, server) = serve(Authority::new(Keys::P384));
    let hourly = |store: &Arc<FileStorage>| {
        let authority = client(&server);
        quick().anchor_every(Duration::from_secs(3_600), authority).start(store.clone()).unwrap()
    };
    for _ in 0..3 {
        grow(&store, 1).await;
        let status = hourly(&store).close(MINUTE).await.remove(0);
        assert!(!status.pending && status.held.unwrap().leaves == 1);
    }
    assert_eq!(server.requests(), 1);
}
