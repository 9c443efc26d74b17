//! `attestry log`: records one interaction.

use std::path::{Path, PathBuf};

use attestry::Interaction;
use attestry::line::MAX_LINE_BYTES;

use crate::args::{LogArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::input::{Input, is_stdin};
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
    Ok(Status::Success)
}

fn interaction(args: LogArgs) -> Result<Interaction<'static>, Failure> {
    let input = text(args.input, args.input_file.as_deref())?;
    let output = text(args.output, args.output_file.as_deref())?;
    let interaction = Interaction::new(input, output)
        .provider(args.provider)
        .model(args.model)
        .conversation_id(args.conversation_id)
        .safety_passed(args.safety.passed() && !args.safety_failed)
        .detectors_triggered(args.detectors)
        .block_reason(args.block_reason)
        .alerts(args.alerts)
        .latency_ms(args.latency_ms.unwrap_or(0.0))
        .input_tokens(args.input_tokens)
        .output_tokens(args.output_tokens)
        .metadata_map(args.metadata.into_iter().collect())
        .timestamp(args.timestamp);
    Ok(interaction)
}

/// The text of an option or of its file.
fn text(given: Option<String>, file: Option<&Path>) -> Result<String, Failure> {
    match file {
        // Limited, because a device can be endless.
        Some(path) => Input::open(path)?.read_text(MAX_LINE_BYTES),
        None => Ok(given.unwrap_or_default()),
    }
}
