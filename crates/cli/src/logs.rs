//! What the server writes to standard error: lines of text, or of JSON.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::{LogFormat, LogLevel, LogsArgs};

/// [`start`], with warnings and errors as text.
pub(crate) fn start_with_warnings() {
    start(&LogsArgs { log_format: LogFormat::Text, log_level: LogLevel::Warn });
}

/// From now on, events are written. Only those of our own crates: what others log, such as headers, may be secret.
pub(crate) fn start(args: &LogsArgs) {
    let level = match args.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let ours = Targets::new().with_target("attestry", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let registry = tracing_subscriber::registry().with(ours);
    // Fails if it was called before: then it is as it was.
    let _ = match args.log_format {
        LogFormat::Text => registry.with(lines.with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
}
