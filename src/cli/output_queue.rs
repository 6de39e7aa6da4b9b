//! Messages about the work, queued and written by one thread for each stream. A full disk, a closed pipe or a reader that
//! reads nothing neither delays nor fails the work, and does not change the exit code.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::printable;

/// Messages that wait for a stream; more are dropped.
const QUEUE_MAX: usize = 256;
/// A writable pipe takes this many bytes without blocking (`PIPE_BUF`).
const PIPE_BYTES: usize = 4096;
/// How long the end of the process waits for each stream.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

static STDERR: StreamWriter = StreamWriter(OnceLock::new());
static STDOUT: StreamWriter = StreamWriter(OnceLock::new());

/// Queues a message for people on stderr, without characters that control a terminal.
pub fn note(message: impl Display) {
    let lines: Vec<String> = message.to_string().split('\n').map(printable).collect();
    let write = |text: &[u8]| drop(io::stderr().write_all(text));
    STDERR.enqueue(format!("latchd: {}\n", lines.join("\n")), write, io::stderr());
}

/// Queues the report of finished work for stdout.
pub fn report(text: String) {
    STDOUT.enqueue(text, write_to_stdout, io::stdout());
}

/// Waits until the queued messages are written, at most [`FLUSH_TIMEOUT`] each for stdout and stderr.
pub fn flush() {
    // Writing to stdout may queue a message for stderr.
    STDOUT.flush();
    STDERR.flush();
}

fn write_to_stdout(text: &[u8]) {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => note(format!("stdout cannot be written: {error}")),
        _ => {}
    }
}

enum Message {
    Text(String),
    /// Acknowledged when all messages before it are written.
    Flush(SyncSender<()>),
}

/// The queue of a stream; its thread starts with the first message. `None`: the thread could not be started.
struct StreamWriter(OnceLock<Option<SyncSender<Message>>>);

impl StreamWriter {
    fn enqueue(&self, text: String, write: fn(&[u8]), stream: impl AsFd) {
        match self.0.get_or_init(|| start(write)) {
            // A full queue has a reader that reads nothing.
            Some(queue) => drop(queue.try_send(Message::Text(text))),
            None => text.as_bytes().chunks(PIPE_BYTES).take_while(|_| is_writable(&stream)).for_each(write),
        }
    }

    fn flush(&self) {
        let Some(Some(queue)) = self.0.get() else { return };
        let (flushed, done) = sync_channel(1);
        if queue.try_send(Message::Flush(flushed)).is_ok() {
            let _ = done.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

fn is_writable(stream: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(stream, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().contains(PollFlags::OUT)
}

fn start(write: fn(&[u8])) -> Option<SyncSender<Message>> {
    let (queue, messages) = sync_channel(QUEUE_MAX);
    let write_all = move || {
        for message in messages {
            match message {
                Message::Text(text) => write(text.as_bytes()),
                // Fails only if the flush has timed out.
                Message::Flush(flushed) => drop(flushed.try_send(())),
            }
        }
    };
    std::thread::Builder::new().name("output".to_owned()).spawn(write_all).is_ok().then_some(queue)
}
