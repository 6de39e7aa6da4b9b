//! The thread that writes the log: everything that has arrived shares one write and one flush.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::base::fatal;
use crate::mutants::planted;
use crate::raft::data_dir::directory::{DataDirLock, sync_dir};
use crate::raft::log::log_file::{self, OpenFile};

/// Called when a write is on disk. A failed write ends the process first.
pub type OnFlushed = Box<dyn FnOnce() + Send>;

/// What the thread does, in order.
pub enum Step {
    Write {
        bytes: Vec<u8>,
        sync: bool,
        flushed: Option<OnFlushed>,
    },
    /// The next bytes belong to the file that begins here.
    NextFile {
        start: u64,
    },
    /// After everything before is on disk.
    Remove(Vec<PathBuf>),
}

/// Hands steps to the thread. When it is dropped, the thread does what is left, and ends.
pub struct Writer {
    steps: Option<Sender<Step>>,
    thread: Option<JoinHandle<()>>,
    /// Up to where the files have their bytes, as an offset in the whole log.
    written: Arc<AtomicU64>,
}

impl Writer {
    /// Goes on in `file`, whose end is the end of the whole log, `end`. Without `sync`, the disk is not waited for.
    pub fn start(dir: &Path, file: OpenFile, end: u64, sync: bool, lock: Arc<DataDirLock>) -> io::Result<Writer> {
        let (steps, arriving) = channel();
        let written = Arc::new(AtomicU64::new(end));
        let task = WriterTask { dir: dir.to_owned(), file, sync, written: written.clone(), _lock: lock };
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || task.run(&arriving))?;
        Ok(Writer { steps: Some(steps), thread: Some(thread), written })
    }

    pub fn send(&self, step: Step) {
        let sent = self.steps.as_ref().is_some_and(|steps| steps.send(step).is_ok());
        if !sent {
            fatal::abort("cannot write the log", &"the log's writer has stopped");
        }
    }

    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.steps = None;
        let Some(thread) = self.thread.take() else { return };
        // The thread itself may drop the last log, with the last waiter that it notifies.
        if thread.thread().id() != std::thread::current().id() {
            _ = thread.join();
        }
    }
}

struct WriterTask {
    dir: PathBuf,
    file: OpenFile,
    sync: bool,
    written: Arc<AtomicU64>,
    /// Last: the directory is given up when nothing of it is written any more.
    _lock: Arc<DataDirLock>,
}

impl WriterTask {
    fn run(mut self, arriving: &Receiver<Step>) {
        let mut filled = self.fill();
        while let Ok(first) = arriving.recv() {
            let mut flushed = Vec::new();
            let mut purged = Vec::new();
            let result = filled.and(self.take(first, arriving, &mut flushed, &mut purged));
            let result = planted!("failed-flush-ignored", result => Ok(()));
            result.unwrap_or_else(|error| fatal::abort("cannot write the log", &error));
            #[cfg(feature = "mutants")]
            std::thread::sleep(crate::mutants::flush_delay());
            flushed.into_iter().for_each(|notify| notify());
            filled = self.remove(&purged).and_then(|()| self.fill());
        }
        // What follows the last record is cut again at the next start, if it cannot be cut now.
        _ = self.file.cut(false);
    }

    /// Without a flush there is nothing to gain.
    fn fill(&mut self) -> io::Result<()> {
        if self.sync { self.file.fill(&self.dir) } else { Ok(()) }
    }

    /// Does everything that has arrived, and flushes once if any of it asks for that.
    fn take(
        &mut self,
        first: Step,
        arriving: &Receiver<Step>,
        on_flushed: &mut Vec<OnFlushed>,
        purged: &mut Vec<PathBuf>,
    ) -> io::Result<()> {
        let mut is_sync = false;
        let mut next = Some(first);
        while let Some(step) = next {
            match step {
                Step::Write { bytes, sync, flushed } => {
                    on_flushed.extend(flushed);
                    is_sync |= sync;
                    self.file.write(&bytes)?;
                    self.written.fetch_add(bytes.len() as u64, Ordering::Release);
                }
                Step::NextFile { start } => self.begin_file(start)?,
                Step::Remove(files) => purged.extend(files),
            }
            next = arriving.try_recv().ok();
        }
        if is_sync { self.file.sync() } else { Ok(()) }
    }

    fn remove(&self, purged: &[PathBuf]) -> io::Result<()> {
        if purged.is_empty() {
            return Ok(());
        }
        purged.iter().try_for_each(fs::remove_file)?;
        sync_dir(&self.dir)
    }

    /// The file before is complete, and ends with its last record, before the next is there.
    fn begin_file(&mut self, start: u64) -> io::Result<()> {
        self.file.cut(self.sync)?;
        self.file = OpenFile::create(&log_file::path(&self.dir, start))?;
        if self.sync { sync_dir(&self.dir) } else { Ok(()) }
    }
}
