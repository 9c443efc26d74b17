//! Checkpoints in a bucket, on a scripted endpoint.

use std::sync::{Arc, Mutex};

use crate::anchors::server::{Request, Response, Server};
use crate::common::{Folder, Run, run};

/// Signs a checkpoint and puts it into the bucket of `server`.
fn checkpoint(folder: &Folder, server: &Server, options: &str) -> Run {
    let place = format!(
        "s3://bucket/log?region=us-east-1&path_style=true&endpoint={}{options}",
        server.url()
    );
    let arguments = ["--signing-key", "signing.key", "checkpoint", "--checkpoint-to", &place];
    let mut command = folder.command(&arguments);
    command.env("AWS_ACCESS_KEY_ID", "access").env("AWS_SECRET_ACCESS_KEY", "secret");
    run(&mut command)
}

/// A store with a checkpoint of seven leaves that was not handed over.
fn not_handed_over() -> Folder {
    let (folder, _) = Folder::with_sample();
    folder.ok(&["key", "generate", "--signing", "--name", "a.example/log", "--out", "signing.key"]);
    folder.ok(&["--signing-key", "signing.key", "tree", "begin"]);
    folder
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(header, _)| header == name).map(|(_, value)| &**value)
}

#[test]
fn checkpoint_is_an_object_under_object_lock() {
    let folder = not_handed_over();
    let puts: Arc<Mutex<Vec<Request>>> = Arc::default();
    let recorded = Arc::clone(&puts);
    let server = Server::start(move |request| {
        let mut puts = recorded.lock().unwrap();
        puts.push(request.clone());
        // The first attempt fails.
        let status = if puts.len() == 1 { 503 } else { 200 };
        Response::new(status, "application/xml", "")
    });
    let signed = checkpoint(&folder, &server, "&lock=compliance&lock_days=3650");
    signed.expect(0, "");
    let puts = puts.lock().unwrap();
    assert_eq!(puts.len(), 2, "{puts:?}");
    let put = &puts[1];
    assert_eq!(put.body, signed.stdout.as_bytes());
    let path = put.path.split('?').next().unwrap();
    assert!(path.starts_with("/bucket/log/a.example_log-00000000000000000007-"), "{path}");
    assert!(path.ends_with(".checkpoint"), "{path}");
    assert_eq!(header(put, "x-amz-object-lock-mode"), Some("COMPLIANCE"));
    assert!(header(put, "x-amz-object-lock-retain-until-date").unwrap() > "2036-");
    assert_eq!(header(put, "if-none-match"), Some("*"), "nothing is overwritten");
    assert_eq!(put.content_type, "text/plain; charset=utf-8");
    let listed = folder.ok(&["anchors"]);
    assert!(listed.starts_with("s3 s3://bucket/log: has 7 leaves of a.example/log"), "{listed}");
}

#[test]
fn object_that_exists_is_the_checkpoint() {
    let folder = not_handed_over();
    let exists = "<Error><Code>PreconditionFailed</Code><Message>exists</Message></Error>";
    let server = Server::start(move |_| Response::new(412, "application/xml", exists));
    checkpoint(&folder, &server, "").expect(0, "");
    let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
    server.now(move |_| Response::new(403, "application/xml", denied));
    folder.ok(&["--signing-key", "signing.key", "log", "--input", "a", "--output", "b"]);
    let refused = checkpoint(&folder, &server, "");
    refused.expect(1, "warning: the checkpoint was not handed over: s3 s3://bucket/log: ");
    assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
}
