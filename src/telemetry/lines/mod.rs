//! Lines on their way out of the process: a writer never waits for the reader.
//!
//! A full disk, a closed terminal or a pipe without a reader must cost lines and nothing else. So a line goes into a
//! bounded queue, one thread for each destination does the writing, and what finds no room or cannot be written is
//! counted. Rust's own handles are not used: a write to them holds a lock that everybody else waits for.

mod destination;
mod queue;

pub use destination::Destination;
pub use queue::LineQueue;

use std::io;
use std::sync::Arc;

use nix::sys::signal::{SigSet, Signal};

/// Lines that may wait, in bytes: some seconds of the busiest log.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Begins a thread that writes to `destination` what is put into the queue.
pub fn start(name: &str, destination: Destination) -> io::Result<Arc<LineQueue>> {
    let queue = Arc::new(LineQueue::new(WAITING_BYTES_MAX));
    let lines = Arc::clone(&queue);
    std::thread::Builder::new().name(name.to_owned()).spawn(move || write_all(&lines, destination))?;
    Ok(queue)
}

fn write_all(queue: &LineQueue, mut destination: Destination) {
    // A server in the background may write to its terminal whatever `stty tostop` says: it would be stopped otherwise.
    // It fails for numbers that are no signals.
    let _ = SigSet::from(Signal::SIGTTOU).thread_block();
    let mut told = 0;
    loop {
        let Some(line) = queue.next() else {
            destination.reopen();
            continue;
        };
        let written = destination.write(&line);
        queue.ended(&line, written);
        let lost = queue.lost();
        if written && lost > told {
            told = lost;
            tracing::warn!(lost, "{lost} log lines were lost so far: nobody took them in time");
        }
    }
}
