//! The simplest group commit: one thread writes and syncs all queued lines, wakes their callers, and repeats. There is no
//! store around it.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use crate::Result;
use crate::workload::Workload;

/// See the module.
#[derive(Debug)]
pub(crate) struct Group {
    queue: Arc<Queue>,
    thread: JoinHandle<io::Result<()>>,
}

/// A handle for callers.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    callers: Vec<oneshot::Sender<()>>,
    closed: bool,
}

impl Group {
    /// Starts the thread, which appends to `file`.
    pub(crate) fn start(file: File) -> Self {
        let queue = Arc::new(Queue::default());
        let of_thread = Arc::clone(&queue);
        Self { queue, thread: thread::spawn(move || of_thread.write_to(file)) }
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller(Arc::clone(&self.queue))
    }

    /// Ends the thread after all queued lines are written.
    pub(crate) fn close(self) -> Result<()> {
        self.queue.lock().closed = true;
        self.queue.work.notify_one();
        Ok(self.thread.join().map_err(|_| "the thread that writes panicked")??)
    }
}

impl Caller {
    /// Returns when `line` is on stable storage.
    pub(crate) async fn append(&self, line: &[u8]) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        let is_first = {
            let mut state = self.0.lock();
            state.lines.extend_from_slice(line);
            state.callers.push(sender);
            state.callers.len() == 1
        };
        if is_first {
            self.0.work.notify_one();
        }
        Ok(receiver.await?)
    }

    /// Appends `each` lines from each of `tasks` tasks.
    pub(crate) async fn append_many(
        &self,
        workload: &Arc<Workload>,
        tasks: usize,
        each: usize,
    ) -> Result<()> {
        let running: Vec<_> = (0..tasks)
            .map(|task| {
                let (caller, workload) = (self.clone(), Arc::clone(workload));
                tokio::spawn(async move {
                    for number in task * each..(task + 1) * each {
                        caller.append(&workload.line(number)?).await?;
                    }
                    Result::Ok(())
                })
            })
            .collect();
        for task in running {
            task.await??;
        }
        Ok(())
    }
}

impl Queue {
    fn write_to(&self, mut file: File) -> io::Result<()> {
        // Two buffers alternate and keep their capacity.
        let mut lines = Vec::new();
        while let Some(callers) = self.take(&mut lines) {
            file.write_all(&lines)?;
            file.sync_data()?;
            for caller in callers {
                // A dropped caller does not receive the result.
                let _ = caller.send(());
            }
        }
        Ok(())
    }

    /// Waits for queued lines and takes them; `None` once closed.
    fn take(&self, lines: &mut Vec<u8>) -> Option<Vec<oneshot::Sender<()>>> {
        lines.clear();
        let mut state = self.lock();
        while state.callers.is_empty() {
            if state.closed {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        mem::swap(&mut state.lines, lines);
        Some(mem::take(&mut state.callers))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn acknowledged_lines_are_in_the_file() {
        let path = std::env::temp_dir().join(format!("attestry-group-{}", std::process::id()));
        let group = Group::start(crate::plain::append(&path).unwrap());
        let runtime = crate::rig::runtime().unwrap();
        let calls: Vec<_> = (0..100)
            .map(|number| {
                let caller = group.caller();
                runtime
                    .spawn(async move { caller.append(format!("{number:02}\n").as_bytes()).await })
            })
            .collect();
        calls.into_iter().for_each(|call| runtime.block_on(call).unwrap().unwrap());
        group.close().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert!(lines.into_iter().eq((0..100).map(|number| format!("{number:02}"))));
    }
}
