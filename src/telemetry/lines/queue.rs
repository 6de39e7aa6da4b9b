//! The bounded queue between the threads that log and the thread that writes.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A destination that takes no line for this long is not waited for any longer.
const STUCK_AFTER: Duration = Duration::from_millis(250);
/// How many of such periods the last lines of a process are waited for at most.
const PERIODS_MAX: usize = 8;

/// Lines for one destination.
pub struct LineQueue {
    bytes_max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// The size of the lines that wait, and of the one that is being written.
    bytes: usize,
    /// Lines that were taken in, and those of them that are written or given up.
    accepted: u64,
    ended: u64,
    lost: u64,
    reopen: bool,
}

impl LineQueue {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes a line in, or counts it as lost where there is no room; returns which. Never waits for the destination.
    pub fn push(&self, line: &[u8]) -> bool {
        let mut state = self.state.lock();
        if state.bytes + line.len() > self.bytes_max {
            state.lost += 1;
            return false;
        }
        state.bytes += line.len();
        state.accepted += 1;
        state.lines.push_back(line.to_vec());
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Lines that found no room, or could not be written.
    pub fn lost(&self) -> u64 {
        self.state.lock().lost
    }

    /// Has the destination opened anew, before the lines that come from now on.
    pub fn reopen(&self) {
        self.state.lock().reopen = true;
        self.changed.notify_all();
    }

    /// Waits until all that was taken in so far is written, for the last lines of a process; gives up on a destination
    /// that takes nothing.
    pub fn flush(&self) {
        let mut state = self.state.lock();
        let last = state.accepted;
        for _ in 0..PERIODS_MAX {
            let before = state.ended;
            self.changed.wait_while_for(&mut state, |state| state.ended < last, STUCK_AFTER);
            if state.ended >= last || state.ended == before {
                return;
            }
        }
    }

    /// The next line, once there is one; `None`: first the destination is to be opened anew.
    pub(super) fn next(&self) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| !state.reopen && state.lines.is_empty());
        if std::mem::take(&mut state.reopen) { None } else { state.lines.pop_front() }
    }

    pub(super) fn ended(&self, line: &[u8], written: bool) {
        let mut state = self.state.lock();
        state.bytes -= line.len();
        state.ended += 1;
        state.lost += u64::from(!written);
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_queue_are_counted_as_lost() {
        let queue = LineQueue::new(10);
        [b"12345".as_slice(), b"6789", b"too long", b"x", b"y"].iter().for_each(|line| {
            queue.push(line);
        });
        assert_eq!(queue.lost(), 2);
        let line = queue.next().expect("a line is first");
        assert_eq!(line, b"12345");
        queue.push(b"still none");
        assert_eq!(queue.lost(), 3, "a line that is being written takes room");
        queue.ended(&line, false);
        assert_eq!(queue.lost(), 4, "one that could not be written is lost too");
        queue.push(b"again");
        assert_eq!(queue.lost(), 4);
    }

    #[test]
    fn flush_gives_up_on_stuck_destination() {
        let queue = LineQueue::new(10);
        queue.flush();
        queue.push(b"1");
        queue.flush();
        assert_eq!(queue.lost(), 0);
    }
}
