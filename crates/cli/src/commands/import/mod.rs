//! `attestry import`: records the interactions of files, of our own or another program's format.

mod acknowledged;
mod dry_run;
mod occurrences;
mod prepare;
mod rejects;
mod report;

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use attestry::{AuditEntry, AuditLogger, EntryId, StorageBackend, StorageError, Timestamp};
use attestry_genai::{CallRecord, Format, Joiner, UnmappedTexts};

use self::acknowledged::{Acknowledged, Missing};
use self::occurrences::Occurrences;
use self::prepare::{IdOrigin, Origin};
pub(super) use self::prepare::{Line, Prepared, Preparer};
use self::rejects::Rejects;
use self::report::{Answer, Report};
use crate::anchors::Anchors;
use crate::args::{ImportArgs, StoreArgs};
use crate::chunks::Chunk;
use crate::errors::{Failure, Status};
use crate::input::{Input, is_stdin};
use crate::interrupt::{self, Interrupt};
use crate::output::Stdout;
use crate::paths;
use crate::pipeline::{self, Outputs, Processed};
use crate::progress;
use crate::store::Settings;
use crate::text::counted;

/// Maximum number of lines whose entries are stored with one sync.
const BATCH_LINES: usize = 1000;

/// Memory for calls whose records are not all there yet.
pub(super) const JOIN_BYTES: usize = 64 << 20;

pub(super) async fn run(
    args: ImportArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let paths = paths::expand(&args.paths)?;
    if args.dry_run {
        return dry_run::run(&args, &paths, out).await;
    }
    let from_stdin = paths.iter().any(|path| is_stdin(path));
    // Before the store is made: a single file that cannot be read is most likely a mistake.
    let first = match &paths[..] {
        [only] => Some(Input::open_records(only)?),
        _ => None,
    };
    let rejects = args.rejects.as_deref().map(Rejects::open).transpose()?;
    let encryption = store.encryption()?;
    let is_plain = args.store_content && encryption.is_none();
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
        format: args.from.format(),
        unmapped_texts: if is_plain { UnmappedTexts::Keep } else { UnmappedTexts::Hash },
        unknown_spans: args.unknown_spans(),
    };
    let import = Import {
        report: Report::new(out, args.format, rejects.is_some()),
        logger,
        preparer: Arc::new(preparer),
        joiner: Joiner::new(JOIN_BYTES),
        occurrences: None,
        rejects,
        acknowledged: Acknowledged::default(),
        in_doubt: 0,
        last_line: 0,
        repeatable: derive_ids && !from_stdin,
    };
    let anchors = args.anchors.start(store, &import.logger)?;
    import.run(&paths, first, interrupt, anchors).await
}

struct Import<'a> {
    report: Report<'a>,
    logger: AuditLogger,
    preparer: Arc<Preparer>,
    /// Joins records of one call across lines and files.
    joiner: Joiner,
    /// `None` if no ids are derived.
    occurrences: Option<Occurrences>,
    rejects: Option<Rejects>,
    acknowledged: Acknowledged,
    /// Number of entries of batches that are not known to be stored: they may have been.
    in_doubt: u64,
    /// All lines of the input up to this one are stored or reported.
    last_line: u64,
    /// Whether the same command can be run again to complete the import.
    repeatable: bool,
}

impl Import<'_> {
    async fn run(
        mut self,
        paths: &[PathBuf],
        first: Option<Input>,
        mut interrupt: Interrupt,
        anchors: Anchors,
    ) -> Result<Status, Failure> {
        let mut outcome = self.inputs(paths, first, &mut interrupt).await;
        if let Ok(None) = outcome {
            outcome = self.rest().await.map(|()| None);
        }
        self.report.finish_progress();
        // The entries are stored: what fails here is a warning, and repeated by the next command.
        anchors.finish(&self.logger).await;
        let closed = self.logger.close().await.map_err(Failure::from);
        // The first error is reported: closing often fails after it.
        let outcome = match outcome.and_then(|signal| closed.map(|()| signal)) {
            // Reading a closed store is allowed, and what was stored is indexed now.
            Ok(signal) => {
                self.acknowledged.missing(&self.logger).await.map(|missing| (signal, missing))
            }
            Err(failure) => Err(failure),
        };
        self.summarise(outcome)
    }

    /// Imports one input after the other. Returns the signal that ended it.
    async fn inputs(
        &mut self,
        paths: &[PathBuf],
        mut first: Option<Input>,
        interrupt: &mut Interrupt,
    ) -> Result<Option<u8>, Failure> {
        for path in paths {
            let input = match first.take().map_or_else(|| Input::open_records(path), Ok) {
                Ok(input) => input,
                // The others may be fine.
                Err(failure) => {
                    self.report.unreadable(&failure);
                    continue;
                }
            };
            if let Some(signal) = self.input(input, interrupt).await? {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }

    async fn input(
        &mut self,
        input: Input,
        interrupt: &mut Interrupt,
    ) -> Result<Option<u8>, Failure> {
        self.report.begin_input(input.name.clone(), progress::bytes(input.length));
        self.last_line = 0;
        // Identical records are counted within one input.
        self.occurrences = self.preparer.derive_ids.then(Occurrences::new);
        let detected = Arc::clone(&input.detected);
        let (preparer, of_chunk) = (Arc::clone(&self.preparer), Arc::clone(&detected));
        let work = move |chunk: &Chunk| preparer.prepare(chunk, of_chunk.get().copied().flatten());
        let mut prepared = pipeline::process(input, work)?;
        let mut writing = None;
        let mut is_named = false;
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
            if !std::mem::replace(&mut is_named, true) {
                self.name_format(detected.get().copied().flatten());
            }
            let Some(first) = first else { break Ok(None) };
            let next = self.begin(first, &mut prepared).await;
            // Prepared and queued while the batch before it was written.
            if let Some(before) = writing.replace(next)
                && let Err(failure) = self.finish(before.await).await
            {
                break Err(failure);
            }
        };
        match (outcome, writing) {
            (Ok(signal), Some(last)) => self.finish(last.await).await.map(|()| signal),
            (outcome, _) => outcome,
        }
    }

    /// Says which other program's format was detected.
    fn name_format(&self, detected: Option<Format>) {
        if let (None, Some(format)) = (self.preparer.format, detected)
            && format != Format::Attestry
        {
            self.report.note(&format!("reading it as {format}; --from chooses another format"));
        }
    }

    /// Stores the calls of which no more records came.
    async fn rest(&mut self) -> Result<(), Failure> {
        let mut calls = self.joiner.finish().into_iter().peekable();
        while calls.peek().is_some() {
            let mut batch = Prepared::default();
            let now = Timestamp::now();
            let preparer = Arc::clone(&self.preparer);
            calls
                .by_ref()
                .take(BATCH_LINES)
                .for_each(|call| preparer.add_call(call, now, &mut batch));
            let writing = self.store(batch, Vec::new(), None).await;
            self.finish(writing.await).await?;
        }
        Ok(())
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
                    self.report.ignored(chunk.output.ignored);
                    self.join(std::mem::take(&mut chunk.output.records), &mut batch);
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
        self.store(batch, chunks, failure).await
    }

    /// Joins records with others of their call. Calls that are complete for want of memory join `batch`.
    fn join(&mut self, records: Vec<CallRecord>, batch: &mut Prepared) {
        let now = Timestamp::now();
        for record in records {
            for call in self.joiner.push(record) {
                self.preparer.add_call(call, now, batch);
            }
        }
    }

    /// Begins to store `batch`.
    async fn store(
        &mut self,
        batch: Prepared,
        chunks: Vec<Processed<Prepared>>,
        failure: Option<Failure>,
    ) -> Writing {
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
            let lines = (line.number, batch.lines.last().map_or(0, |line| line.number));
            let (input, entries) = (self.report.input(), batch.entries.len() as u64);
            self.acknowledged.add(input, entry.id.clone(), lines, entries);
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
        Ok(stored.is_some_and(|stored| !stored.is_same_interaction(entry, origin.dated_now)))
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
    let Prepared { lines, entries, .. } = batch;
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
