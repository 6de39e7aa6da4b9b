//! The signals that this process gets on the command's behalf.

use nix::sys::signal::{SigSet, Signal as Blockable};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Those that are passed on. SIGCHLD is listened for too, to hear of the command.
const PASSED_ON: [Signal; 9] = [
    Signal::TERM,
    Signal::INT,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
    Signal::TSTP,
    Signal::CONT,
];

/// Every signal as it comes.
pub(super) struct Signals(mpsc::UnboundedReceiver<Signal>);

impl Signals {
    /// Listens from now on. What is ignored already stays so, for this process and the command: that is how `nohup`
    /// and shells keep signals from what they start.
    pub fn listen() -> std::io::Result<Signals> {
        // Whoever called may have blocked it, and the command's end would not be heard of.
        let mut child = SigSet::empty();
        child.add(Blockable::SIGCHLD);
        child.thread_unblock()?;
        let (send, receive) = mpsc::unbounded_channel();
        let ignored = ignored();
        let wanted = PASSED_ON.into_iter().filter(|signal| ignored & (1 << (signal.as_raw() - 1)) == 0);
        for number in wanted.chain([Signal::CHILD]) {
            let mut stream = signal(SignalKind::from_raw(number.as_raw()))?;
            let send = send.clone();
            tokio::spawn(async move { while stream.recv().await.is_some() && send.send(number).is_ok() {} });
        }
        Ok(Signals(receive))
    }

    pub async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            // The senders end with the runtime.
            None => std::future::pending().await,
        }
    }
}

/// Whether it asks a program to end.
pub(super) fn asks_to_end(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT].contains(&signal)
}

/// A bit for each signal that this process was started to ignore.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
