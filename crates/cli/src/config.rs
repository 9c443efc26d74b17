//! The configuration file of `attestry serve`: its values become the defaults of the options.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Command;
use clap::error::ErrorKind;
use toml::{Table, Value};

const SERVE: &str = "serve";
/// Options that are not for a file.
const NOT_IN_FILE: [&str; 4] = ["config", "check-config", "help", "version"];

/// `program`, with the values of the file that the arguments name as defaults.
///
/// # Errors
///
/// The file cannot be read, or a key is unknown or of a wrong type. Values are checked as those of the command line
/// are.
pub(crate) fn apply(
    program: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Command, clap::Error> {
    let Some(path) = path(program.clone(), arguments) else { return Ok(program) };
    let refused = |reason: String| {
        let message = format!("{}: {reason}\n", path.display());
        clap::Error::raw(ErrorKind::ValueValidation, message)
    };
    let table = read(&path).map_err(refused)?;
    table
        .into_iter()
        .try_fold(program, |program, (key, value)| with_default(program, &key, &value))
        .map_err(refused)
}

/// The file that the command line or the environment names.
fn path(program: Command, arguments: impl IntoIterator<Item = OsString>) -> Option<PathBuf> {
    // Other options may need the file to be valid.
    let matches = program.ignore_errors(true).try_get_matches_from(arguments).ok()?;
    matches.subcommand_matches(SERVE)?.try_get_one::<PathBuf>("config").ok()?.cloned()
}

fn read(path: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    // The message quotes the line, which may hold no secret: keys are in files of their own.
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

/// `program`, with `value` as the default of the option `key`.
fn with_default(program: Command, key: &str, value: &Value) -> Result<Command, String> {
    let texts = texts(value).ok_or_else(|| {
        format!("{key}: expected a text, a number, true or false, or a list of these")
    })?;
    let find = |command: &Command| {
        let named = |argument: &&clap::Arg| argument.get_long() == Some(key);
        command.get_arguments().find(named).map(|argument| argument.get_id().clone())
    };
    if NOT_IN_FILE.contains(&key) {
        return Err(format!("{key} is an option of the command line only"));
    }
    let serve = program.find_subcommand(SERVE).and_then(find);
    let set = move |argument: clap::Arg| argument.default_values(texts);
    match (serve, find(&program)) {
        (Some(id), _) => Ok(program.mut_subcommand(SERVE, |serve| serve.mut_arg(id.as_str(), set))),
        (None, Some(id)) => Ok(program.mut_arg(id.as_str(), set)),
        (None, None) => Err(format!("there is no option {key}; see attestry serve --help")),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    Some(match value {
        Value::String(text) => vec![text.clone()],
        Value::Integer(number) => vec![number.to_string()],
        Value::Boolean(value) => vec![value.to_string()],
        Value::Array(values) => {
            let all: Option<Vec<Vec<String>>> = values.iter().map(texts).collect();
            all?.concat()
        }
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => return None,
    })
}
