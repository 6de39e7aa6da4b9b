//! What is said beside the work: queued, and written by a thread for each stream. A full disk, a closed pipe or a reader
//! that takes nothing neither delays nor fails what the process does, nor does it change its exit code.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::printable;

/// What a stream has not taken yet; more than that is lost.
const QUEUE: usize = 256;
/// A stream that takes anything now takes so much of it without a wait (`PIPE_BUF`).
const TAKEN_AT_ONCE: usize = 4096;
/// How long the end of the process waits for each stream to take the rest.
const LAST_WORDS: Duration = Duration::from_millis(500);

static STDERR: Voice = Voice(OnceLock::new());
static STDOUT: Voice = Voice(OnceLock::new());

/// Says something to people on stderr; a terminal obeys none of it.
pub fn note(message: impl Display) {
    let lines: Vec<String> = message.to_string().split('\n').map(printable).collect();
    STDERR.say(format!("latchd: {}\n", lines.join("\n")), write_to_stderr, io::stderr());
}

/// Says on stdout how something went that is done already.
pub fn report(text: String) {
    STDOUT.say(text, write_to_stdout, io::stdout());
}

/// Waits a moment for what was said to be written. The last thing that a process does.
pub fn finish() {
    // The first may have something to say to the second.
    STDOUT.finish();
    STDERR.finish();
}

fn write_to_stderr(text: &[u8]) {
    // Nobody is left to be told.
    let _ = io::stderr().write_all(text);
}

fn write_to_stdout(text: &[u8]) {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => note(format!("stdout cannot be written: {error}")),
        _ => {}
    }
}

enum Said {
    Text(String),
    /// Answered when all before it is written.
    End(SyncSender<()>),
}

/// A stream and the thread that writes to it, once something was said.
struct Voice(OnceLock<Option<SyncSender<Said>>>);

impl Voice {
    fn say(&self, text: String, write: fn(&[u8]), stream: impl AsFd) {
        match self.0.get_or_init(|| start(write)) {
            // A full queue has a reader that takes nothing.
            Some(queue) => drop(queue.try_send(Said::Text(text))),
            // The system gives no thread, which may be the very thing to be said.
            None => text.as_bytes().chunks(TAKEN_AT_ONCE).take_while(|_| takes_now(&stream)).for_each(write),
        }
    }

    fn finish(&self) {
        let Some(Some(queue)) = self.0.get() else { return };
        let (ended, end) = sync_channel(1);
        if queue.try_send(Said::End(ended)).is_ok() {
            let _ = end.recv_timeout(LAST_WORDS);
        }
    }
}

fn takes_now(stream: &impl AsFd) -> bool {
    let mut asked = [PollFd::new(stream, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok() && asked[0].revents().contains(PollFlags::OUT)
}

fn start(write: fn(&[u8])) -> Option<SyncSender<Said>> {
    let (queue, said) = sync_channel(QUEUE);
    let thread = std::thread::Builder::new().name("speech".to_owned()).spawn(move || speak(&said, write));
    thread.is_ok().then_some(queue)
}

fn speak(said: &Receiver<Said>, write: fn(&[u8])) {
    for said in said {
        match said {
            Said::Text(text) => write(text.as_bytes()),
            // Whoever waited for it may have given up.
            Said::End(ended) => drop(ended.try_send(())),
        }
    }
}
