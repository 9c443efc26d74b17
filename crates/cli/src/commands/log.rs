//! `attestry log`: records one interaction.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use attestry::Interaction;
use attestry::line::MAX_LINE_BYTES;

use crate::args::{LogArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;

pub(super) async fn run(
    args: LogArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let from_stdin = |file: &Option<PathBuf>| file.as_deref().is_some_and(is_stdin);
    if from_stdin(&args.input_file) && from_stdin(&args.output_file) {
        return Err(Failure::new("input and output cannot both be read from standard input"));
    }
    let encryption = store.encryption()?;
    let store_content = args.store_content;
    let interaction = interaction(args)?;
    let settings = Settings { encryption, store_content, ..Settings::default() };
    let logger = store.open_writer(settings).await?;
    let id = logger.log(interaction).await?;
    out.line(format_args!("{id}"))?;
    out.flush()?;
    logger.close().await?;
    Ok(Status::Done)
}

fn interaction(args: LogArgs) -> Result<Interaction<'static>, Failure> {
    let input = text(args.input, args.input_file.as_deref())?;
    let output = text(args.output, args.output_file.as_deref())?;
    let mut interaction = Interaction::new(input, output)
        .safety_passed(args.safety.passed() && !args.safety_failed)
        .detectors_triggered(args.detectors)
        .alerts(args.alerts)
        .latency_ms(args.latency_ms.unwrap_or(0.0));
    for (key, value) in args.metadata {
        interaction = interaction.metadata(key, value);
    }
    if let Some(provider) = args.provider {
        interaction = interaction.provider(provider);
    }
    if let Some(model) = args.model {
        interaction = interaction.model(model);
    }
    if let Some(id) = args.conversation_id {
        interaction = interaction.conversation_id(id);
    }
    if let Some(reason) = args.block_reason {
        interaction = interaction.block_reason(reason);
    }
    if let Some(tokens) = args.input_tokens {
        interaction = interaction.input_tokens(tokens);
    }
    if let Some(tokens) = args.output_tokens {
        interaction = interaction.output_tokens(tokens);
    }
    if let Some(timestamp) = args.timestamp {
        interaction = interaction.timestamp(timestamp);
    }
    Ok(interaction)
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The text given, or that of the file, to the last byte.
fn text(given: Option<String>, file: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = file else { return Ok(given.unwrap_or_default()) };
    let name = if is_stdin(path) { "standard input".into() } else { path.display().to_string() };
    let failed = |error: io::Error| Failure::new(format!("cannot read {name}")).caused_by(error);
    let mut content = Vec::new();
    // No more than an entry may hold: a device gives bytes without end.
    let limit = MAX_LINE_BYTES as u64;
    let read = if is_stdin(path) {
        io::stdin().lock().take(limit + 1).read_to_end(&mut content)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut content))
    };
    if read.map_err(failed)? as u64 > limit {
        return Err(Failure::new(format!("{name} has more than {limit} bytes")));
    }
    String::from_utf8(content).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Failure::new(format!("{name} is not UTF-8 text: byte {place} is wrong"))
    })
}
