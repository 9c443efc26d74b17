//! `attestry token`: creates tokens for `attestry serve`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use attestry_serve::{Token, Tokens};

use crate::args::{NewTokenArgs, TokenCommand};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::text::stderr_line;

pub(super) fn run(command: TokenCommand, out: &mut Stdout) -> Result<Status, Failure> {
    let TokenCommand::New(NewTokenArgs { tokens: path, name, role }) = command;
    let invalid =
        |error| Failure::new(format!("cannot add a token to {}", path.display())).caused_by(error);
    if path.exists() {
        let tokens = Tokens::from_file(&path).map_err(invalid)?;
        if tokens.iter().any(|token| token.name() == name) {
            return Err(Failure::new(format!("{} has a token of {name}", path.display()))
                .hint("choose another name, or remove the line of the earlier token"));
        }
    }
    let (token, secret) = Token::generate(&name, role).map_err(invalid)?;
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| {
        file.write_all(format!("{token}\n").as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| invalid(error.into()))?;
    stderr_line(format_args!(
        "added {name} with the role {role} to {}; the token is printed once",
        path.display()
    ));
    out.line(format_args!("{secret}"))?;
    Ok(Status::Success)
}
