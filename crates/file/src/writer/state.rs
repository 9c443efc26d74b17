//! Executes jobs under the store lock.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use attestry_core::{EntryId, StorageError, event, line};

use super::batch::{Acks, Batch, Stored};
use super::job::{Job, Responder};
use crate::erase::{self, EraseIntent};
use crate::fs::lock::LockGuard;
use crate::fs::sys::FileId;
use crate::maintenance::{LogParts, Progress, delete};
use crate::quarantine;
use crate::reader::Found;
use crate::segment::Segment;

/// What is left to do after [`execute`] once the store lock and the state are released.
#[derive(Debug, Default)]
pub(super) struct Remaining {
    /// Acknowledgements of the last batch, if no job came after it.
    pub(super) acks: Option<Acks>,
    /// Jobs with steps left, and `Close` if it waits for one. Other processes get the store lock before them.
    pub(super) pending: Vec<Job>,
    /// Responses to `Close`, to be sent after the last callbacks.
    pub(super) closed: Vec<(Responder<()>, Result<(), StorageError>)>,
}

/// Executes `jobs` in order; of each maintenance job one step.
pub(super) fn execute(log: &mut LogParts, jobs: VecDeque<Job>, guard: &LockGuard<'_>) -> Remaining {
    log.erasures.notice_pending();
    log.active.poll_index();
    let mut remaining = Remaining::default();
    for job in jobs {
        if let Some(acks) = remaining.acks.take() {
            acks.send();
        }
        match job {
            Job::Append(batch) => remaining.acks = Some(append(log, batch, guard)),
            Job::Delete { ids, reason, responder } => {
                drop(responder.send(delete(log, &ids, reason, guard)));
            }
            Job::Maintain { mut job, responder } => match job.step(log, guard) {
                Ok(Progress::Pending) => {
                    remaining.pending.push(Job::Maintain { job, responder });
                }
                Ok(Progress::Done(result)) => drop(responder.send(Ok(result))),
                Err(error) => drop(responder.send(Err(error))),
            },
            Job::RemoveQuarantined { name, responder } => {
                drop(responder.send(quarantine::remove(log.catalog.folder(), &name)));
            }
            Job::Flush { responder } => drop(responder.send(log.active.sync())),
            Job::Observer(call) => call.run(log.active.sync().map(|()| &mut *log.observer)),
            Job::Close { .. } if !remaining.pending.is_empty() => remaining.pending.push(job),
            Job::Close { responder } => remaining.closed.push((responder, close(log, guard))),
        }
    }
    remaining
}

fn append(log: &mut LogParts, mut batch: Batch, guard: &LockGuard<'_>) -> Acks {
    if batch.checks_ids() {
        note_appended(log);
    }
    let mut check = IdCheck::default();
    batch.check_ids(|id, line, skipping| check.look_up(log, id, line, skipping, guard));
    let LogParts { active, erasures, observer, .. } = log;
    batch.commit(|lines| active.append(guard.epoch(), erasures, &mut **observer, lines))
}

/// Adds the new lines of the active segment to its index in the catalog, if that has one.
fn note_appended(log: &mut LogParts) {
    if let Some((segment, lines)) = log.active.take_new_lines() {
        log.catalog.note_appended(segment, lines);
    }
}

/// Looks up the ids of one batch. Nothing else changes the store meanwhile.
#[derive(Default)]
struct IdCheck {
    view: Option<View>,
    /// The segments that are known to be durable.
    confirmed: HashSet<FileId>,
}

/// The store as the ids of a batch find it.
#[derive(Clone)]
struct View {
    segments: Arc<[Segment]>,
    /// An erasure is pending that cannot be completed now.
    erasure_is_pending: bool,
}

impl View {
    fn of(log: &mut LogParts, guard: &LockGuard<'_>) -> Result<Self, StorageError> {
        // A pending erasure must not erase a line after it was acknowledged again.
        let erasure_is_pending = log.erasures.finish_pending(&mut *log.observer).is_err();
        Ok(Self { segments: log.catalog.snapshot_locked(guard)?, erasure_is_pending })
    }
}

impl IdCheck {
    /// What is stored under `id`, the id of `line`; as durably as if it were appended now, unless it is
    /// another entry and `skipping` is false.
    fn look_up(
        &mut self,
        log: &mut LogParts,
        id: &EntryId,
        line: &[u8],
        skipping: bool,
        guard: &LockGuard<'_>,
    ) -> Result<Stored, StorageError> {
        let view = match &mut self.view {
            Some(view) => view,
            none => none.insert(View::of(log, guard)?),
        };
        let View { segments, erasure_is_pending } = view.clone();
        let found = if erasure_is_pending {
            not_doomed(log, &segments, id)?.next()
        } else {
            log.catalog.find(&segments, id)?
        };
        let compare = |entry| match line::decode(line).ok() == Some(entry) {
            true => Stored::SameEntry,
            false => Stored::OtherEntry,
        };
        let Some(Found { segment, entry, .. }) = found else { return Ok(Stored::Nothing) };
        let first = compare(entry);
        if first == Stored::OtherEntry && !skipping {
            return Ok(first);
        }
        if is_durable(log, &segment, &mut self.confirmed)? {
            return Ok(first);
        }
        // It may have been appended again since its segment could not be synced.
        for Found { segment, entry, .. } in not_doomed(log, &segments, id)? {
            let stored = compare(entry);
            let counts = stored == Stored::SameEntry || skipping;
            if counts && is_durable(log, &segment, &mut self.confirmed)? {
                return Ok(stored);
            }
        }
        Ok(Stored::Nothing)
    }
}

/// Whether the lines of `segment` are as durable as the store promises now.
fn is_durable(
    log: &mut LogParts,
    segment: &Segment,
    confirmed: &mut HashSet<FileId>,
) -> Result<bool, StorageError> {
    let durable = confirmed.contains(&segment.file.id) || log.active.confirm(segment)?;
    if durable {
        confirmed.insert(segment.file.id);
    }
    Ok(durable)
}

/// The lines of `id` that a pending erasure, if there is one, leaves.
fn not_doomed(
    log: &LogParts,
    segments: &[Segment],
    id: &EntryId,
) -> Result<impl Iterator<Item = Found> + use<>, StorageError> {
    let found = log.catalog.find_all(segments, id)?;
    // An intent log that cannot be read concerns stored ids only.
    let intent = match found.is_empty() {
        true => EraseIntent::default(),
        false => erase::pending(log.catalog.folder())?,
    };
    let is_left = move |found: &Found| !intent.names_line(found.segment.name, found.line.offset);
    Ok(found.into_iter().filter(is_left))
}

/// Makes everything durable, and ends with a checkpoint if one is due. Idempotent.
pub(super) fn close(log: &mut LogParts, guard: &LockGuard<'_>) -> Result<(), StorageError> {
    let mut closed = log.active.seal_poisoned(&mut log.erasures, &mut *log.observer);
    note_appended(log);
    closed = closed.and(log.active.close());
    if closed.is_ok() && !log.erasures.is_pending() {
        // First what the catalog has in memory: the index of the active segment, once ids were looked up.
        closed = log.catalog.save_indexes(guard, log.active.rotation_bytes());
        if closed.is_ok() && !log.active.finish_indexes() {
            // Reads the segments. Index files are optional, so failures are ignored.
            let _ = log.catalog.snapshot_locked(guard);
        }
    }
    if closed.is_ok() && log.observer.deadline().is_some() {
        sync_for_deadline(log);
    }
    let closed = closed.and(log.observer.close());
    match &closed {
        Ok(()) => event!(INFO, path = %log.catalog.folder().path().display(), "store closed"),
        Err(error) => event!(WARN, kind = error.kind().as_str(), "store not closed"),
    }
    closed
}

/// When the writer thread is to act although no job is queued.
pub(super) fn deadline(log: &LogParts) -> Option<Instant> {
    log.observer.deadline().into_iter().chain(log.active.index_deadline()).min()
}

/// Whether the deadline of the observer has passed.
pub(super) fn deadline_has_passed(log: &LogParts) -> bool {
    log.observer.deadline().is_some_and(|deadline| deadline <= Instant::now())
}

/// Syncs the active segment and calls the observer.
pub(super) fn sync_for_deadline(log: &mut LogParts) {
    let synced = log.active.sync();
    log.observer.on_deadline(synced);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::{self, File};
    use std::io;

    use attestry_core::{AuditEntry, Timestamp};

    use super::*;
    use crate::active_segment::ActiveSegment;
    use crate::durability::Durability;
    use crate::fs::layout::Folder;
    use crate::fs::segment_name::SegmentName;
    use crate::maintenance::MaintenanceJob;
    use crate::maintenance::tests::parts_in;
    use crate::recovery;

    thread_local! {
        static SYNCS: Cell<usize> = const { Cell::new(0) };
        static SYNC_FAILS: Cell<bool> = const { Cell::new(false) };
    }

    fn sync_or_fail(_: &File) -> io::Result<()> {
        SYNCS.set(SYNCS.get() + 1);
        if SYNC_FAILS.get() { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }

    #[test]
    fn close_gives_others_the_lock_between_steps() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        let (mut log, lock) = parts_in(&folder);
        // More than a step expires.
        for day in 1..29 {
            let name = SegmentName::parse(&format!("audit_202602{day:02}.jsonl")).unwrap();
            let entry = |number| {
                let id = format!("{day}-{number}").parse().unwrap();
                AuditEntry::new(id, Timestamp::UNIX_EPOCH, "in".into(), "out".into())
            };
            fs::write(folder.segment(name), line::encode(&entry(1)).unwrap()).unwrap();
        }
        let (responder, mut expired) = tokio::sync::oneshot::channel();
        let at = Timestamp::UNIX_EPOCH;
        let reason = crate::observer::EraseReason { reason: "x".into(), by: "y".into(), at };
        let job = MaintenanceJob::expire(Timestamp::UNIX_EPOCH, reason);
        let (first, mut first_closed) = tokio::sync::oneshot::channel();
        let (second, mut second_closed) = tokio::sync::oneshot::channel();
        let mut jobs = VecDeque::from([
            Job::Maintain { job, responder },
            Job::Close { responder: first },
            Job::Close { responder: second },
        ]);
        let mut rounds = 0;
        while !jobs.is_empty() {
            assert!(first_closed.try_recv().is_err() && expired.try_recv().is_err());
            let remaining = execute(&mut log, jobs, &lock.acquire().unwrap());
            for (responder, result) in remaining.closed {
                responder.send(result).unwrap();
            }
            jobs = remaining.pending.into();
            rounds += 1;
        }
        assert!(rounds > 1);
        assert_eq!(expired.try_recv().unwrap().unwrap(), 28);
        first_closed.try_recv().unwrap().unwrap();
        second_closed.try_recv().unwrap().unwrap();
    }

    fn append_checked(log: &mut LogParts, entry: &AuditEntry, guard: &LockGuard<'_>) -> bool {
        let line = line::encode(entry).unwrap();
        match IdCheck::default().look_up(log, &entry.id, &line, false, guard) {
            Ok(Stored::SameEntry) => true,
            Ok(Stored::Nothing) => {
                let ends =
                    [crate::observer::LineEnd { at: line.len(), terms: 0, leaf: None, key: None }];
                let LogParts { active, erasures, observer, .. } = log;
                let lines =
                    crate::active_segment::LinesToAppend { bytes: &line, ends: &ends, terms: &[] };
                active.append(guard.epoch(), erasures, &mut **observer, &lines).is_ok()
            }
            Ok(Stored::OtherEntry) | Err(_) => false,
        }
    }

    /// The kernel reports a failed sync once. A retry succeeds without writing anything.
    #[test]
    fn line_whose_sync_failed_is_appended_again() {
        for is_active in [false, true] {
            let temporary = tempfile::tempdir().unwrap();
            let folder = Folder::new(temporary.path().join("audit"));
            let (mut log, lock) = parts_in(&folder);
            log.active = ActiveSegment::new(folder.clone(), 1 << 20, Durability::Sync)
                .syncing_with(sync_or_fail);
            // Of a process that died before its sync.
            let new = |id: &str| {
                let time = Timestamp::UNIX_EPOCH;
                AuditEntry::new(id.parse().unwrap(), time, "in".into(), "out".into())
            };
            let entry = new("x");
            let name = if is_active {
                SegmentName::active_on(Timestamp::now())
            } else {
                SegmentName::parse("audit_20260128.jsonl").unwrap()
            };
            fs::write(folder.segment(name), line::encode(&entry).unwrap()).unwrap();
            let guard = lock.acquire().unwrap();
            SYNC_FAILS.set(true);
            assert!(!append_checked(&mut log, &entry, &guard));
            SYNC_FAILS.set(false);
            SYNCS.set(0);
            assert!(append_checked(&mut log, &entry, &guard));
            let segments = log.catalog.snapshot_locked(&guard).unwrap();
            let found = log.catalog.find_all(&segments, &entry.id).unwrap();
            assert_eq!(found.len(), 2);
            assert_ne!(found[0].segment.file.id, found[1].segment.file.id);
            // The second line is durable, and confirms the entry from then on.
            assert!(append_checked(&mut log, &entry, &guard));
            let segments = log.catalog.snapshot_locked(&guard).unwrap();
            assert_eq!(log.catalog.count(&segments).unwrap(), 2);
        }
    }

    /// A process died between writing a line and syncing it; another stores the entry again.
    #[test]
    fn duplicate_is_synced_before_it_is_acknowledged() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().join("audit"));
        recovery::create(&folder).unwrap();
        let id = |number: u8| EntryId::new(number.to_string()).unwrap();
        let line_of = |number| {
            let entry =
                AuditEntry::new(id(number), Timestamp::UNIX_EPOCH, "in".into(), "out".into());
            line::encode(&entry).unwrap()
        };
        let path = folder.segment(SegmentName::parse("audit_20260128.jsonl").unwrap());
        fs::write(path, [line_of(0), line_of(1)].concat()).unwrap();
        for durability in [Durability::Sync, Durability::Buffered] {
            let (mut log, lock) = parts_in(&folder);
            log.active =
                ActiveSegment::new(folder.clone(), 1 << 20, durability).syncing_with(sync_or_fail);
            let guard = lock.acquire().unwrap();
            let (syncs, fails) =
                if durability == Durability::Sync { (1, true) } else { (0, false) };
            SYNCS.set(0);
            let mut check = IdCheck::default();
            for number in [0, 1] {
                let line = line_of(number);
                let stored = check.look_up(&mut log, &id(number), &line, false, &guard);
                assert_eq!(stored.unwrap(), Stored::SameEntry);
            }
            assert_eq!(SYNCS.get(), syncs, "once for all lines of the file");
            SYNC_FAILS.set(true);
            let stored = IdCheck::default().look_up(&mut log, &id(0), &line_of(0), false, &guard);
            assert_eq!(stored.is_err(), fails);
            SYNC_FAILS.set(false);
        }
    }
}
