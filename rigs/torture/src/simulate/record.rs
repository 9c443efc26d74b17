//! Turns system calls into changes: the file of each, and when it becomes durable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::trace::Call;
use crate::outcome::{Result, failed};

/// A file or folder, independent of its name.
pub(super) type Inode = usize;

/// A change to the disk.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Bytes written to a file.
    Write { inode: Inode, at: usize, data: Vec<u8> },
    /// A new length of a file.
    Truncate { inode: Inode, length: usize },
    /// A new file or folder.
    Create { path: PathBuf, inode: Inode, folder: bool },
    /// A rename.
    Rename { from: PathBuf, to: PathBuf, inode: Inode },
    /// A removed name.
    Remove { path: PathBuf, inode: Inode },
}

impl Change {
    /// The names it changes; none for changes of content.
    pub(super) fn names(&self) -> Vec<&PathBuf> {
        match self {
            Self::Write { .. } | Self::Truncate { .. } => Vec::new(),
            Self::Create { path, .. } | Self::Remove { path, .. } => vec![path],
            Self::Rename { from, to, .. } => vec![from, to],
        }
    }
}

/// A change, when it was made, and when it became durable.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) change: Change,
    /// When the first sync returned that began after the change ended.
    pub(super) safe: Option<usize>,
    /// What must be synced: the file, or the folders of the names.
    needs: Vec<Inode>,
}

/// All changes to one folder.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) steps: Vec<Step>,
    /// Output to standard output, and when each write began.
    pub(super) printed: Vec<(usize, String)>,
    /// Number of syncs.
    pub(super) syncs: usize,
}

#[derive(Debug, Clone)]
struct Open {
    inode: Inode,
    append: bool,
    position: usize,
}

/// Names and descriptors while replaying the calls.
struct Reading {
    root: PathBuf,
    names: BTreeMap<PathBuf, Inode>,
    lengths: Vec<usize>,
    open: BTreeMap<i64, Open>,
    record: Record,
}

/// The calls of one process, and the note of its end with the line of the trace.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) calls: Vec<Call>,
    pub(super) end: usize,
    pub(super) obituary: String,
}

/// Records what consecutive processes did below `root`, an empty folder at first.
pub(super) fn read(root: &Path, lives: Vec<Life>) -> Result<Record> {
    let mut reading = Reading {
        root: root.to_path_buf(),
        names: BTreeMap::from([(root.to_path_buf(), 0)]),
        lengths: vec![0],
        open: BTreeMap::new(),
        record: Record::default(),
    };
    for life in lives {
        // Unsynced changes stay unsynced after their process ended.
        reading.open.clear();
        for call in &life.calls {
            reading.take(call)?;
        }
        reading.record.printed.push((life.end, life.obituary));
    }
    Ok(reading.record)
}

impl Reading {
    fn take(&mut self, call: &Call) -> Result {
        match call.name.as_str() {
            "openat" => self.open_file(call),
            "mkdir" => self.make_folder(call, self.path(call, 0)?),
            "mkdirat" => self.make_folder(call, self.path_at(call, 0)?),
            "rename" => self.rename(call, self.path(call, 0)?, self.path(call, 1)?),
            "renameat" | "renameat2" => {
                self.rename(call, self.path_at(call, 0)?, self.path_at(call, 2)?)
            }
            "unlink" => self.remove(call, self.path(call, 0)?),
            "unlinkat" => self.remove(call, self.path_at(call, 0)?),
            _ => self.on_descriptor(call),
        }
    }

    /// The path in an argument, if below the root.
    fn path(&self, call: &Call, argument: usize) -> Result<Option<PathBuf>> {
        let path = PathBuf::from(String::from_utf8_lossy(&call.bytes(argument)?).into_owned());
        Ok(path.starts_with(&self.root).then_some(path))
    }

    /// The path in the argument after `folder`, which is `AT_FDCWD` or the descriptor of the folder that a
    /// relative path is in, if below the root.
    fn path_at(&self, call: &Call, folder: usize) -> Result<Option<PathBuf>> {
        let Ok(descriptor) = call.number(folder) else { return self.path(call, folder + 1) };
        let name = PathBuf::from(String::from_utf8_lossy(&call.bytes(folder + 1)?).into_owned());
        // A descriptor that is not known is that of a folder above the root.
        let folder = self.open.get(&descriptor).and_then(|open| {
            self.names.iter().find(|(_, inode)| **inode == open.inode).map(|(path, _)| path)
        });
        Ok(folder.map(|folder| folder.join(name)))
    }

    fn make_folder(&mut self, call: &Call, path: Option<PathBuf>) -> Result {
        path.map_or(Ok(()), |path| self.create(call, path, true).map(drop))
    }

    fn step(&mut self, call: &Call, change: Change, needs: Vec<Inode>) {
        self.record.steps.push(Step {
            start: call.start,
            end: call.end,
            change,
            safe: None,
            needs,
        });
    }

    fn parent(&self, path: &Path) -> Vec<Inode> {
        path.parent().and_then(|parent| self.names.get(parent)).copied().into_iter().collect()
    }

    fn create(&mut self, call: &Call, path: PathBuf, folder: bool) -> Result<Inode> {
        let inode = self.lengths.len();
        self.lengths.push(0);
        self.names.insert(path.clone(), inode);
        let needs = self.parent(&path);
        self.step(call, Change::Create { path, inode, folder }, needs);
        Ok(inode)
    }

    fn open_file(&mut self, call: &Call) -> Result {
        self.open.remove(&call.result);
        let Some(path) = self.path_at(call, 0)? else { return Ok(()) };
        let flags = call.argument(2);
        let inode = match self.names.get(&path).copied() {
            Some(inode) => inode,
            None if flags.contains("O_CREAT") => self.create(call, path, false)?,
            None => return failed(format!("{} was opened but never created", path.display())),
        };
        if flags.contains("O_TRUNC") {
            self.truncate(call, inode, 0);
        }
        let append = flags.contains("O_APPEND");
        self.open.insert(call.result, Open { inode, append, position: 0 });
        Ok(())
    }

    fn rename(&mut self, call: &Call, from: Option<PathBuf>, to: Option<PathBuf>) -> Result {
        let (Some(from), Some(to)) = (from, to) else { return Ok(()) };
        let Some(inode) = self.names.remove(&from) else {
            return failed(format!("{} was renamed but never created", from.display()));
        };
        self.names.insert(to.clone(), inode);
        // A rename between folders is atomic, and durable with the new name.
        let needs = self.parent(&to);
        self.step(call, Change::Rename { from, to, inode }, needs);
        Ok(())
    }

    fn remove(&mut self, call: &Call, path: Option<PathBuf>) -> Result {
        let Some(path) = path else { return Ok(()) };
        let Some(inode) = self.names.remove(&path) else {
            return failed(format!("{} was removed but never created", path.display()));
        };
        let needs = self.parent(&path);
        self.step(call, Change::Remove { path, inode }, needs);
        Ok(())
    }

    fn truncate(&mut self, call: &Call, inode: Inode, length: usize) {
        self.lengths[inode] = length;
        self.step(call, Change::Truncate { inode, length }, vec![inode]);
    }

    fn on_descriptor(&mut self, call: &Call) -> Result {
        let Ok(descriptor) = call.number(0) else { return Ok(()) };
        if call.name == "write" && descriptor == 1 {
            let text = String::from_utf8_lossy(&call.bytes(1)?).into_owned();
            self.record.printed.push((call.start, text));
            return Ok(());
        }
        let Some(open) = self.open.get(&descriptor).cloned() else { return Ok(()) };
        let inode = open.inode;
        let done = call.result as usize;
        let mut position = open.position;
        match call.name.as_str() {
            "close" => drop(self.open.remove(&descriptor)),
            "read" => position += done,
            "lseek" => position = done,
            "write" => {
                let at = if open.append { self.lengths[inode] } else { position };
                self.write(call, inode, at, done)?;
                position = at + done;
            }
            "pwrite64" => self.write(call, inode, call.number(3)? as usize, done)?,
            "ftruncate" => self.truncate(call, inode, call.number(1)? as usize),
            "fsync" | "fdatasync" => self.sync(call, inode),
            "fcntl" if call.argument(1).starts_with("F_DUPFD") => {
                self.open.insert(call.result, open);
            }
            "dup" => drop(self.open.insert(call.result, open)),
            "fcntl" => {}
            other => return failed(format!("the simulation does not support {other}")),
        }
        if let Some(open) = self.open.get_mut(&descriptor) {
            open.position = position;
        }
        Ok(())
    }

    fn write(&mut self, call: &Call, inode: Inode, at: usize, done: usize) -> Result {
        let mut data = call.bytes(1)?;
        data.truncate(done);
        self.lengths[inode] = self.lengths[inode].max(at + data.len());
        self.step(call, Change::Write { inode, at, data }, vec![inode]);
        Ok(())
    }

    fn sync(&mut self, call: &Call, inode: Inode) {
        self.record.syncs += 1;
        for step in &mut self.record.steps {
            if step.safe.is_none() && step.end < call.start {
                step.needs.retain(|needed| *needed != inode);
                if step.needs.is_empty() {
                    step.safe = Some(call.end);
                }
            }
        }
    }
}
