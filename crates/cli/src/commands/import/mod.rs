//! `attestry import`: records the interactions of a JSON Lines file.

mod acknowledged;
mod occurrences;
mod prepare;
mod rejects;
mod report;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use attestry::{AuditEntry, AuditLogger, EntryId, StorageBackend, StorageError};

use self::acknowledged::{Acknowledged, Missing};
use self::occurrences::Occurrences;
use self::prepare::{IdOrigin, Origin, Prepared, Preparer};
use self::rejects::Rejects;
use self::report::{Answer, Report};
use crate::anchors::Anchors;
use crate::args::{ImportArgs, StoreArgs};
use crate::errors::{Failure, Status};
use crate::input::{Input, is_stdin};
use crate::interrupt::{self, Interrupt};
use crate::output::Stdout;
use crate::pipeline::{self, Outputs, Processed};
use crate::progress;
use crate::record::is_same_interaction;
use crate::store::Settings;
use crate::text::counted;

/// Maximum number of lines whose entries are stored with one sync.
const BATCH_LINES: usize = 1000;

pub(super) async fn run(
    args: ImportArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let from_stdin = is_stdin(&args.file);
    let input = Input::open_records(&args.file)?;
    let rejects = args.rejects.as_deref().map(Rejects::open).transpose()?;
    let encryption = store.encryption()?;
    let settings =
        Settings { encryption, store_content: args.store_content, ..Settings::default() };
    let logger = store.open_writer(settings).await?;
    // Before the first read: a signal would otherwise end the program without a summary.
    let interrupt = interrupt::listen();
    let derive_ids = if from_stdin { args.dedupe } else { !args.new_ids };
    let preparer = Preparer {
        logger: logger.clone(),
        derive_ids,
        allow_odd: args.allow_odd,
        keep_refused: rejects.is_some(),
    };
    let bar = progress::bytes(input.length);
    let mut import = Import {
        report: Report::new(out, args.format, input.name.clone(), bar, rejects.is_some()),
        logger,
        occurrences: derive_ids.then(Occurrences::new),
        rejects,
        acknowledged: Acknowledged::default(),
        in_doubt: 0,
        last_line: 0,
        repeatable: derive_ids && !from_stdin,
    };
    let anchors = args.anchors.start(store, &import.logger)?;
    let prepared = pipeline::process(input, move |chunk| preparer.prepare(chunk))?;
    import.run(prepared, interrupt, store, anchors).await
}

struct Import<'a> {
    report: Report<'a>,
    logger: AuditLogger,
    /// `None` if no ids are derived.
    occurrences: Option<Occurrences>,
    rejects: Option<Rejects>,
    acknowledged: Acknowledged,
    /// Number of entries of batches that are not known to be stored: they may have been.
    in_doubt: u64,
    /// All lines up to this one are stored or reported.
    last_line: u64,
    /// Whether the same command can be run again to complete the import.
    repeatable: bool,
}

impl Import<'_> {
    async fn run(
        &mut self,
        mut prepared: Outputs<Prepared>,
        mut interrupt: Interrupt,
        store: &StoreArgs,
        anchors: Anchors,
    ) -> Result<Status, Failure> {
        let mut writing = None;
        let outcome = loop {
            // A signal ends the wait for input, but not a write.
            let first = tokio::select! {
                biased;
                signal = interrupt.wait() => break Ok(Some(signal)),
                written = written(&mut writing) => {
                    match self.finish(written).await {
                        Ok(()) => continue,
                        Err(failure) => break Err(failure),
                    }
                }
                next = prepared.next() => next,
            };
            let Some(first) = first else { break Ok(None) };
            let next = self.begin(first, &mut prepared).await;
            // Prepared and queued while the batch before it was written.
            if let Some(before) = writing.replace(next)
                && let Err(failure) = self.finish(before.await).await
            {
                break Err(failure);
            }
        };
        let outcome = match (outcome, writing) {
            (Ok(signal), Some(last)) => self.finish(last.await).await.map(|()| signal),
            (outcome, _) => outcome,
        };
        drop(prepared);
        self.report.finish_progress();
        // The entries are stored: what fails here is a warning, and repeated by the next command.
        anchors.finish(&self.logger).await;
        let closed = self.logger.close().await.map_err(Failure::from);
        // The first error is reported: closing often fails after it.
        let outcome = match outcome.and_then(|signal| closed.map(|()| signal)) {
            Ok(signal) => self.missing(store).await.map(|missing| (signal, missing)),
            Err(failure) => Err(failure),
        };
        self.summarise(outcome)
    }

    /// Asks the closed store, which has indexed what was stored.
    async fn missing(&self, store: &StoreArgs) -> Result<Missing, Failure> {
        if self.acknowledged.is_empty() || !store.is_persistent()? {
            return Ok(Missing::default());
        }
        let logger = store.open_reader(Settings::default()).await?;
        self.acknowledged.missing(&logger).await
    }

    /// Begins to store the entries of `first` and of other chunks that are ready, up to a batch.
    async fn begin(
        &mut self,
        first: Result<Processed<Prepared>, Failure>,
        prepared: &mut Outputs<Prepared>,
    ) -> Writing {
        let mut failure = None;
        let mut batch = Prepared::default();
        let mut chunks = Vec::new();
        let mut next = Some(first);
        while let Some(chunk) = next {
            match chunk {
                Ok(mut chunk) => {
                    batch.lines.append(&mut chunk.output.lines);
                    batch.entries.append(&mut chunk.output.entries);
                    chunks.push(chunk);
                }
                Err(error) => {
                    // The entries read before the error are stored first.
                    failure = Some(error);
                    break;
                }
            }
            next = if batch.lines.len() < BATCH_LINES { prepared.ready().await } else { None };
        }
        self.number(&mut batch);
        self.in_doubt += batch.entries.len() as u64;
        let storage = Arc::clone(self.logger.storage());
        let mut writing: Writing = Box::pin(async move {
            let is_new = write(&*storage, &batch).await;
            Written { batch, chunks, is_new, failure }
        });
        // Queues the lines: batches are stored in order.
        match poll_fn(|context| Poll::Ready(writing.as_mut().poll(context))).await {
            Poll::Ready(written) => Box::pin(std::future::ready(written)),
            Poll::Pending => writing,
        }
    }

    /// Prints the answers of a batch that is stored.
    async fn finish(&mut self, written: Written) -> Result<(), Failure> {
        let Written { batch, chunks, is_new, failure } = written;
        let is_new = is_new?;
        self.in_doubt -= batch.entries.len() as u64;
        let stored = self.stored(&batch, &is_new).await?;
        if let Some(rejects) = &mut self.rejects {
            rejects.keep(&batch.lines)?;
        }
        if let (Some(line), Some(entry)) = (batch.lines.first(), batch.entries.last()) {
            let (first, last) = (line.number, batch.lines.last().map_or(0, |line| line.number));
            self.acknowledged.add(entry.id.clone(), first, last, batch.entries.len() as u64);
        }
        let (last_line, end) =
            chunks.last().map_or((self.last_line, 0), |last| (last.last_line, last.end));
        self.last_line = last_line;
        let mut entries = batch.entries.iter().zip(stored);
        let answers = batch.lines.iter().filter_map(|line| {
            let answer = match &line.outcome {
                Err(refused) => Answer::Refused(refused),
                Ok(_) => entries.next().map(|(entry, stored)| stored.answer(entry))?,
            };
            Some((line.number, answer))
        });
        self.report.answers(answers, end)?;
        failure.map_or(Ok(()), Err)
    }

    /// Gives repeated records their own ids.
    fn number(&mut self, batch: &mut Prepared) {
        let Some(occurrences) = &mut self.occurrences else { return };
        let origins = batch.lines.iter().filter_map(|line| line.outcome.as_ref().ok());
        for (entry, origin) in batch.entries.iter_mut().zip(origins) {
            if let IdOrigin::Derived(hash) = &origin.id {
                let occurrence = occurrences.next(hash);
                if occurrence > 0 {
                    entry.id = EntryId::for_record(hash, occurrence);
                }
            }
        }
    }

    /// What became of each entry of `batch`.
    async fn stored(&self, batch: &Prepared, is_new: &[bool]) -> Result<Vec<Stored>, Failure> {
        let origins = batch.lines.iter().filter_map(|line| line.outcome.as_ref().ok());
        let mut stored = Vec::with_capacity(is_new.len());
        for ((entry, origin), is_new) in batch.entries.iter().zip(origins).zip(is_new) {
            stored.push(match is_new {
                true => Stored::Now,
                false if self.differs(entry, origin).await? => Stored::Differs,
                false => Stored::Before,
            });
        }
        Ok(stored)
    }

    /// Whether the stored entry with the id of `entry` is of another interaction.
    async fn differs(&self, entry: &AuditEntry, origin: &Origin) -> Result<bool, Failure> {
        // A derived id is that of the record itself.
        if !matches!(origin.id, IdOrigin::Given) {
            return Ok(false);
        }
        let stored = self.logger.storage().read(&entry.id).await?;
        Ok(stored.is_some_and(|stored| !is_same_interaction(&stored, entry, origin.dated_now)))
    }

    fn summarise(
        &self,
        outcome: Result<(Option<u8>, Missing), Failure>,
    ) -> Result<Status, Failure> {
        let (signal, missing) = match outcome {
            Ok(outcome) => outcome,
            Err(failure) => {
                self.report.stopped("stopped", &Missing::default(), &self.position());
                return Err(failure);
            }
        };
        self.report.missing(&missing);
        match signal {
            None => Ok(self.report.summary(&missing)),
            Some(signal) => {
                self.report.stopped("interrupted", &missing, &self.position());
                Ok(Status::Interrupted(signal))
            }
        }
    }

    /// How far the import got, and how to continue it.
    fn position(&self) -> String {
        let next = self.last_line + 1;
        let how = match self.repeatable {
            true => "run the command again to continue".to_owned(),
            false => format!("continue with `tail -n +{next}`"),
        };
        let mut text = format!("all up to line {}; {how}", self.last_line);
        if self.in_doubt > 0 {
            let more = counted(self.in_doubt, "interaction", "interactions");
            text += &format!(", of which the first {more} may have been stored");
        }
        text
    }
}

/// A batch that is being stored.
type Writing = Pin<Box<dyn Future<Output = Written> + Send>>;

/// A batch that is stored, or not.
struct Written {
    batch: Prepared,
    chunks: Vec<Processed<Prepared>>,
    /// Whether each entry was stored now.
    is_new: Result<Vec<bool>, StorageError>,
    /// The failure that ended the batch.
    failure: Option<Failure>,
}

/// Waits for the batch that is being stored; forever if there is none.
async fn written(writing: &mut Option<Writing>) -> Written {
    let written = match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    };
    *writing = None;
    written
}

/// Stores the entries of `batch` whose ids are new.
async fn write(storage: &dyn StorageBackend, batch: &Prepared) -> Result<Vec<bool>, StorageError> {
    let Prepared { lines, entries } = batch;
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let mut origins = lines.iter().filter_map(|line| line.outcome.as_ref().ok());
    if origins.all(|origin| matches!(origin.id, IdOrigin::New)) {
        storage.append(entries).await?;
        return Ok(vec![true; entries.len()]);
    }
    storage.write_new(entries).await
}

/// What became of an entry.
#[derive(Clone, Copy)]
enum Stored {
    Now,
    /// It was stored before.
    Before,
    /// Its id was stored before, with another entry.
    Differs,
}

impl Stored {
    fn answer(self, entry: &AuditEntry) -> Answer<'_> {
        let id = entry.id.as_str();
        match self {
            Self::Now => Answer::Stored { id },
            Self::Before => Answer::Present { id, differs: false },
            Self::Differs => Answer::Present { id, differs: true },
        }
    }
}
