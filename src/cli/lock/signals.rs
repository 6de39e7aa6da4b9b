//! The signals that this process gets on the command's behalf.

use nix::sys::signal::{SigSet, Signal as Blockable};
use procfs::process::Process;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::group::Group;
use super::terminal::stop_the_job;

/// Passed on to the command. SIGCHLD is received too, for the end of the command.
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

pub(super) struct Signals(mpsc::UnboundedReceiver<Signal>);

impl Signals {
    /// Receives signals from now on. Signals that were ignored already stay ignored, for this process and the command:
    /// that is how `nohup` and shells protect what they start.
    pub fn listen() -> std::io::Result<Signals> {
        // The caller may have blocked it, and then the end of the command would not be noticed.
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

    /// The first signal that asks this process to end. Meanwhile it stops when it is asked to.
    pub async fn end(&mut self, group: &mut Group) -> Signal {
        loop {
            match self.next().await {
                signal @ (Signal::TERM | Signal::INT | Signal::HUP | Signal::QUIT) => return signal,
                Signal::CHILD => group.reap(),
                Signal::TSTP => stop_the_job(),
                _ => {}
            }
        }
    }
}

/// A bit for each signal that this process was started to ignore.
fn ignored() -> u64 {
    let status = Process::myself().and_then(|process| process.status());
    status.map_or(0, |status| status.sigign)
}
