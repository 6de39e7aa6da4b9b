//! Lines on their way to the file: one thread writes them, and who waits for one gives up after a while.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Lines that may wait: they pile up only while the disk hangs.
const LINES_MAX: usize = 256;
/// The same in bytes.
const BYTES_MAX: usize = 4 << 20;

/// Why a line was not written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unwritten {
    #[error("too many lines wait for the disk")]
    QueueFull,
    #[error("the disk takes longer than audit.write_timeout")]
    TimedOut,
    #[error("the log takes no line")]
    LogFull,
    #[error("{0}")]
    Failed(String),
}

struct Waiting {
    line: Vec<u8>,
    then: Then,
}

/// Who learns what became of a line.
enum Then {
    /// Somebody who waits, or has given up: then `if_late` follows the line where the disk takes it after all.
    Tell { written: oneshot::Sender<Result<(), Unwritten>>, if_late: Vec<u8> },
    /// Nobody waits.
    Call(Box<dyn FnOnce(Result<(), Unwritten>) + Send>),
}

impl Then {
    fn bytes(&self) -> usize {
        if let Then::Tell { if_late, .. } = self { if_late.len() } else { 0 }
    }
}

/// The way to the thread, which ends with it.
pub struct FileQueue {
    lines: SyncSender<Waiting>,
    waiting_bytes: Arc<AtomicUsize>,
    timeout: Duration,
}

impl FileQueue {
    /// Begins a thread that calls `append` with each line.
    pub fn start(
        append: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
        timeout: Duration,
    ) -> io::Result<FileQueue> {
        let (lines, arriving) = sync_channel(LINES_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let bytes = Arc::clone(&waiting_bytes);
        std::thread::Builder::new()
            .name("latchd-audit".to_owned())
            .spawn(move || write_all(&arriving, append, &bytes))?;
        Ok(FileQueue { lines, waiting_bytes, timeout })
    }

    /// Resolves when the line is written. One that was given up is not written later, unless the disk has begun with it: then
    /// `if_late` follows it.
    pub async fn write(&self, line: Vec<u8>, if_late: Vec<u8>) -> Result<(), Unwritten> {
        let (written, mut is_written) = oneshot::channel();
        self.add(line, Then::Tell { written, if_late })?;
        match tokio::time::timeout(self.timeout, &mut is_written).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err(Unwritten::Failed("the thread that writes has ended".to_owned())),
            Err(_) => {
                // From here on the thread sees that it is late.
                is_written.close();
                is_written.try_recv().unwrap_or(Err(Unwritten::TimedOut))
            }
        }
    }

    /// The same where nobody can wait: `then` is called with what became of the line.
    pub fn push(
        &self,
        line: Vec<u8>,
        then: impl FnOnce(Result<(), Unwritten>) + Send + 'static,
    ) -> Result<(), Unwritten> {
        self.add(line, Then::Call(Box::new(then)))
    }

    fn add(&self, line: Vec<u8>, then: Then) -> Result<(), Unwritten> {
        let bytes = line.len() + then.bytes();
        if self.waiting_bytes.fetch_add(bytes, Relaxed) + bytes > BYTES_MAX {
            self.waiting_bytes.fetch_sub(bytes, Relaxed);
            return Err(Unwritten::QueueFull);
        }
        self.lines.try_send(Waiting { line, then }).map_err(|refused| {
            self.waiting_bytes.fetch_sub(bytes, Relaxed);
            match refused {
                TrySendError::Full(_) => Unwritten::QueueFull,
                TrySendError::Disconnected(_) => Unwritten::Failed("the thread that writes has ended".to_owned()),
            }
        })
    }
}

fn write_all(lines: &Receiver<Waiting>, mut append: impl FnMut(&[u8]) -> io::Result<()>, waiting_bytes: &AtomicUsize) {
    for Waiting { line, then } in lines {
        // Whoever gave up has told its client that nothing is done, or that it was done without a line.
        let is_given_up = matches!(&then, Then::Tell { written, .. } if written.is_closed());
        let result = (!is_given_up).then(|| append(&line).map_err(|error| Unwritten::Failed(error.to_string())));
        // Before the answer: whoever has it finds the room free.
        waiting_bytes.fetch_sub(line.len() + then.bytes(), Relaxed);
        match (result, then) {
            (Some(result), Then::Tell { written, if_late }) => {
                if written.send(result) == Err(Ok(())) && !if_late.is_empty() {
                    // Nobody waits for it, and the next line tells whether the disk works.
                    drop(append(&if_late));
                }
            }
            (Some(result), Then::Call(then)) => then(result),
            (None, _) => {}
        }
    }
}
