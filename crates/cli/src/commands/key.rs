//! `attestry key`: creates keys.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use attestry::crypto::Key;
use attestry::evidence::SigningKey;

use crate::args::{GenerateArgs, KeyCommand};
use crate::errors::{Failure, Status};
use crate::text::stderr_line;

pub(super) fn run(command: KeyCommand) -> Result<Status, Failure> {
    let KeyCommand::Generate(args) = command;
    if args.signing {
        return generate_signing_key(&args);
    }
    Key::generate().write_new_file(&args.out)?;
    stderr_line(format_args!(
        "wrote a new key to {}; keep a copy in a safe place",
        args.out.display()
    ));
    Ok(Status::Success)
}

fn generate_signing_key(args: &GenerateArgs) -> Result<Status, Failure> {
    let random = || format!("attestry/{:.8}", attestry::create_entry_id().as_str());
    let name = args.name.clone().unwrap_or_else(random);
    let key = SigningKey::generate(&name).map_err(|error| {
        Failure::new(format!("{name:?} is not a valid log name")).caused_by(error)
    })?;
    let public = public_path(&args.out);
    // The public key first: if its file cannot be created, no secret is written.
    write_new(&public, &format!("{}\n", key.public()))?;
    if let Err(error) = key.write_new_file(&args.out) {
        let _ = std::fs::remove_file(&public);
        return Err(error.into());
    }
    stderr_line(format_args!(
        "wrote a new signing key of the log {name} to {}, and its public key to {}; keep the signing \
         key secret, and give the public key to the verifiers now",
        args.out.display(),
        public.display()
    ));
    Ok(Status::Success)
}

fn public_path(secret: &Path) -> PathBuf {
    let mut path = secret.as_os_str().to_owned();
    path.push(".pub");
    path.into()
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(format!(
            "{} exists already; a key file is never overwritten",
            path.display()
        ))
        .hint("pass another file name with --out"),
        _ => Failure::new(format!("cannot write the key file {}", path.display())).caused_by(error),
    })
}
