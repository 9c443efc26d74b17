//! Entry ids from arguments and standard input.

use std::io::{self, Read};

use attestry::EntryId;

use crate::errors::Failure;

/// The ids in `arguments`; `-` stands for the ids on standard input, one a line. All are validated
/// before the store is opened, so that an invalid id is reported even if the store cannot be opened.
pub(crate) fn entry_ids(arguments: &[String]) -> Result<Vec<EntryId>, Failure> {
    let mut ids = Vec::with_capacity(arguments.len());
    for argument in arguments {
        if argument == "-" {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(|error| {
                Failure::new("cannot read the ids on standard input").caused_by(error)
            })?;
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                ids.push(entry_id(line)?);
            }
        } else {
            ids.push(entry_id(argument)?);
        }
    }
    Ok(ids)
}

/// The entry id in `text`.
pub(crate) fn entry_id(text: &str) -> Result<EntryId, Failure> {
    EntryId::new(text)
        .map_err(|error| Failure::new(format!("{text:?} is not a valid entry id")).caused_by(error))
}
