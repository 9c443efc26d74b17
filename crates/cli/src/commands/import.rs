//! `attestry import`: records the interactions of a file.

use std::io::{self, IsTerminal};
use std::time::Instant;

use attestry::line::MAX_LINE_BYTES;
use attestry::{AuditEntry, AuditLogger, line};
use indicatif::ProgressBar;

use crate::args::{ImportArgs, StoreArgs};
use crate::chunks::Chunk;
use crate::errors::{Failure, Status, one_line};
use crate::interrupt::{self, Interrupt};
use crate::output::Stdout;
use crate::pipeline::{self, Done, Input, Results};
use crate::progress;
use crate::store::Settings;
use crate::text::{complain, counted, escaped};

/// How many entries are stored at once where so many are ready: one sync to disk for all of them.
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
    // Before anything is read, so that no signal comes at a bad moment.
    let interrupt = interrupt::listen();
    let mut import = Import {
        out,
        logger: logger.clone(),
        name: input.name.clone(),
        bar: progress::over_bytes(input.length),
        begun: Instant::now(),
        printing: true,
        imported: 0,
        bad_lines: 0,
        in_doubt: 0,
        last_line: 0,
    };
    let prepared = pipeline::start(input, move |chunk| Prepared::from_chunk(chunk, &logger));
    import.run(prepared, interrupt).await
}

/// The entries to store for one chunk, and the lines that cannot be taken.
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
    let entry = logger.prepare(interaction).map_err(|error| one_line(&error))?;
    // Escaping makes a text three times as long at most, encryption twice. Whether the entry fits
    // has to be known here: one that does not would make all of its batch fail.
    if line.len() > MAX_LINE_BYTES / 4 {
        line::encode(&entry).map_err(|error| error.to_string())?;
    }
    Ok(entry)
}

struct Import<'a> {
    out: &'a mut Stdout,
    logger: AuditLogger,
    /// What the input is called.
    name: String,
    bar: ProgressBar,
    begun: Instant,
    /// Whether anyone still reads the ids.
    printing: bool,
    imported: u64,
    bad_lines: u64,
    /// How many more may have been stored when storing failed.
    in_doubt: u64,
    /// Everything up to this line is done.
    last_line: u64,
}

impl Import<'_> {
    async fn run(
        &mut self,
        mut prepared: Results<Prepared>,
        mut interrupt: Interrupt,
    ) -> Result<Status, Failure> {
        let outcome = loop {
            // Only waiting can be interrupted, storing cannot.
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
        // What went wrong first is told; closing after that may well fail too.
        let closed = self.logger.close().await.map_err(Failure::from);
        let outcome = outcome.and_then(|signal| closed.map(|()| signal));
        self.summarise(outcome)
    }

    /// Stores `first` and what else is ready by then, up to a batch, and prints the ids.
    async fn batch(
        &mut self,
        first: Result<Done<Prepared>, Failure>,
        prepared: &mut Results<Prepared>,
    ) -> Result<(), Failure> {
        let mut failure = None;
        let mut batch = Vec::new();
        let mut shares = Vec::new();
        let mut next = Some(first);
        while let Some(done) = next {
            match done {
                Ok(mut done) => {
                    self.report(&done.result.bad_lines);
                    batch.append(&mut done.result.entries);
                    shares.push(done);
                }
                Err(error) => {
                    // What was read before is stored all the same.
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
        if let Some(last) = shares.last() {
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
                complain(format_args!("{}", escaped(&format!("{}:{number}: {reason}", self.name))));
            }
        });
    }

    /// Should nobody read them any more, the import goes on: to record is what it is for.
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
        // Where the ids go to the same terminal as the bar, it must make way.
        let on_terminal = io::stdout().is_terminal();
        self.printing = super::shown(if on_terminal { self.bar.suspend(print) } else { print() })?;
        Ok(())
    }

    fn summarise(&self, outcome: Result<Option<u8>, Failure>) -> Result<Status, Failure> {
        let interactions = counted(self.imported, "interaction", "interactions");
        let seconds = self.begun.elapsed().as_secs_f64();
        match outcome {
            Ok(None) => {
                let bad_lines = counted(self.bad_lines, "bad line", "bad lines");
                complain(format_args!("imported {interactions}, {bad_lines}, {seconds:.1} s"));
                Ok(Status::done_if(self.bad_lines == 0))
            }
            Ok(Some(signal)) => {
                complain(format_args!("interrupted: imported {interactions}, {}", self.go_on()));
                Ok(Status::Interrupted(signal))
            }
            Err(failure) => {
                complain(format_args!("stopped: imported {interactions}, {}", self.go_on()));
                Err(failure)
            }
        }
    }

    /// Where the import ended.
    fn go_on(&self) -> String {
        let next = self.last_line + 1;
        let mut text =
            format!("all up to line {}; `tail -n +{next}` gives the rest", self.last_line);
        if self.in_doubt > 0 {
            let more = counted(self.in_doubt, "interaction", "interactions");
            text += &format!(", of which the first {more} may be stored too, in part or all");
        }
        text
    }
}
