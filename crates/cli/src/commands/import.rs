//! `attestry import`: records the interactions of a JSON Lines file.

use std::io::{self, IsTerminal};
use std::time::Instant;

use attestry::line::MAX_LINE_BYTES;
use attestry::{AuditEntry, AuditLogger, line};
use indicatif::ProgressBar;

use crate::args::{ImportArgs, StoreArgs};
use crate::chunks::Chunk;
use crate::errors::{Failure, Status, with_sources};
use crate::input::Input;
use crate::interrupt::{self, Interrupt};
use crate::output::Stdout;
use crate::pipeline::{self, Outputs, Processed};
use crate::progress;
use crate::store::Settings;
use crate::text::{counted, escaped, stderr_line};

/// Maximum number of entries stored with one sync.
const BATCH_ENTRIES: usize = 1000;

pub(super) async fn run(
    args: ImportArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let input = Input::open(&args.file)?;
    let encryption = store.encryption()?;
    let settings =
        Settings { encryption, store_content: args.store_content, ..Settings::default() };
    let logger = store.open_writer(settings).await?;
    // Before the first read: a signal would otherwise end the program without a summary.
    let interrupt = interrupt::listen();
    let mut import = Import {
        out,
        logger: logger.clone(),
        name: input.name.clone(),
        bar: progress::bytes(input.length),
        started: Instant::now(),
        printing: true,
        imported: 0,
        bad_lines: 0,
        in_doubt: 0,
        last_line: 0,
    };
    let prepared = pipeline::process(input, move |chunk| Prepared::from_chunk(chunk, &logger))?;
    import.run(prepared, interrupt).await
}

/// The entries of one chunk, and its bad lines with their reasons.
struct Prepared {
    entries: Vec<AuditEntry>,
    bad_lines: Vec<(u64, String)>,
}

impl Prepared {
    fn from_chunk(chunk: &Chunk, logger: &AuditLogger) -> Self {
        let mut prepared = Self { entries: Vec::new(), bad_lines: Vec::new() };
        for (number, line) in chunk.lines() {
            match line.map_err(super::too_long).and_then(|line| prepare(line, logger)) {
                Ok(entry) => prepared.entries.push(entry),
                Err(reason) => prepared.bad_lines.push((number, reason)),
            }
        }
        prepared
    }
}

fn prepare(line: &[u8], logger: &AuditLogger) -> Result<AuditEntry, String> {
    let interaction = super::interaction(line)?;
    let entry = logger.prepare(interaction).map_err(|error| with_sources(&error))?;
    // An entry that is too long would fail its whole batch. Escaping makes text at most three times as
    // long, encryption at most twice, so only long lines need the check.
    if line.len() > MAX_LINE_BYTES / 4 {
        line::encode(&entry).map_err(|error| error.to_string())?;
    }
    Ok(entry)
}

struct Import<'a> {
    out: &'a mut Stdout,
    logger: AuditLogger,
    /// Name of the input in messages.
    name: String,
    bar: ProgressBar,
    started: Instant,
    /// Whether standard output is still open.
    printing: bool,
    imported: u64,
    bad_lines: u64,
    /// Number of entries of a batch whose append has not succeeded: they may have been stored.
    in_doubt: u64,
    /// All lines up to this one are stored or reported.
    last_line: u64,
}

impl Import<'_> {
    async fn run(
        &mut self,
        mut prepared: Outputs<Prepared>,
        mut interrupt: Interrupt,
    ) -> Result<Status, Failure> {
        let outcome = loop {
            // A signal ends the wait for input, but not an append.
            let first = tokio::select! {
                biased;
                signal = interrupt.wait() => break Ok(Some(signal)),
                next = prepared.next() => next,
            };
            let Some(first) = first else { break Ok(None) };
            if let Err(failure) = self.batch(first, &mut prepared).await {
                break Err(failure);
            }
        };
        drop(prepared);
        self.bar.finish_and_clear();
        // The first error is reported: closing often fails after it.
        let closed = self.logger.close().await.map_err(Failure::from);
        let outcome = outcome.and_then(|signal| closed.map(|()| signal));
        self.summarise(outcome)
    }

    /// Stores `first` and other entries that are ready, up to a batch, and prints their ids.
    async fn batch(
        &mut self,
        first: Result<Processed<Prepared>, Failure>,
        prepared: &mut Outputs<Prepared>,
    ) -> Result<(), Failure> {
        let mut failure = None;
        let mut batch = Vec::new();
        let mut chunks = Vec::new();
        let mut next = Some(first);
        while let Some(chunk) = next {
            match chunk {
                Ok(mut chunk) => {
                    self.report(&chunk.output.bad_lines);
                    batch.append(&mut chunk.output.entries);
                    chunks.push(chunk);
                }
                Err(error) => {
                    // The entries read before the error are stored first.
                    failure = Some(error);
                    break;
                }
            }
            next = if batch.len() < BATCH_ENTRIES { prepared.ready().await } else { None };
        }
        if !batch.is_empty() {
            self.in_doubt = batch.len() as u64;
            self.logger.storage().append(&batch).await?;
            self.in_doubt = 0;
        }
        self.imported += batch.len() as u64;
        if let Some(last) = chunks.last() {
            self.last_line = last.last_line;
            self.bar.set_position(last.end);
        }
        self.print_ids(&batch)?;
        failure.map_or(Ok(()), Err)
    }

    fn report(&mut self, bad_lines: &[(u64, String)]) {
        if bad_lines.is_empty() {
            return;
        }
        self.bad_lines += bad_lines.len() as u64;
        self.bar.suspend(|| {
            for (number, reason) in bad_lines {
                stderr_line(escaped(&format!("{}:{number}: {reason}", self.name)));
            }
        });
    }

    /// The import continues if standard output is closed.
    fn print_ids(&mut self, stored: &[AuditEntry]) -> Result<(), Failure> {
        if !self.printing {
            return Ok(());
        }
        let out = &mut *self.out;
        let mut print = || {
            for entry in stored {
                out.bytes(entry.id.as_str().as_bytes())?;
                out.bytes(b"\n")?;
            }
            out.flush()
        };
        // Hide the progress bar while ids are printed to the same terminal.
        let on_terminal = io::stdout().is_terminal();
        self.printing =
            super::is_open(if on_terminal { self.bar.suspend(print) } else { print() })?;
        Ok(())
    }

    fn summarise(&self, outcome: Result<Option<u8>, Failure>) -> Result<Status, Failure> {
        let interactions = counted(self.imported, "interaction", "interactions");
        let seconds = self.started.elapsed().as_secs_f64();
        match outcome {
            Ok(None) => {
                let bad_lines = counted(self.bad_lines, "bad line", "bad lines");
                stderr_line(format_args!("imported {interactions}, {bad_lines}, {seconds:.1} s"));
                Ok(Status::success_if(self.bad_lines == 0))
            }
            Ok(Some(signal)) => {
                stderr_line(format_args!(
                    "interrupted: imported {interactions}, {}",
                    self.position()
                ));
                Ok(Status::Interrupted(signal))
            }
            Err(failure) => {
                stderr_line(format_args!("stopped: imported {interactions}, {}", self.position()));
                Err(failure)
            }
        }
    }

    /// How far the import got, and how to continue it.
    fn position(&self) -> String {
        let next = self.last_line + 1;
        let mut text =
            format!("all up to line {}; continue with `tail -n +{next}`", self.last_line);
        if self.in_doubt > 0 {
            let more = counted(self.in_doubt, "interaction", "interactions");
            text += &format!(", of which the first {more} may have been stored");
        }
        text
    }
}
