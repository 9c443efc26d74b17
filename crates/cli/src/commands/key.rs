//! `attestry key`: makes keys.

use attestry::Key;

use crate::args::KeyCommand;
use crate::errors::{Failure, Status};
use crate::text::complain;

pub(super) fn run(command: KeyCommand) -> Result<Status, Failure> {
    let KeyCommand::Generate(args) = command;
    Key::generate().write_new_file(&args.out)?;
    complain(format_args!(
        "wrote a new key to {}; keep a copy in a safe place",
        args.out.display()
    ));
    Ok(Status::Done)
}
