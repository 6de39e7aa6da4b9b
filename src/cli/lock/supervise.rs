//! While the command runs: signals are passed on, and when the lock is lost the command ends in time.

use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;

use super::group::{Change, Group};
use super::signals::Signals;
use super::terminal::{Terminal, stop_the_job};
use crate::client::Standing;
use crate::client::clock::Moment;

/// How long a command may take to end in good order, where the lease has room for so much.
const GRACE_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether the last process of a group has ended.
const GROUP_INTERVAL: Duration = Duration::from_millis(10);

/// How the command ended.
pub(super) struct Outcome {
    pub code: u8,
    /// Why the lock was lost, if it was.
    pub lost: Option<String>,
}

/// When a command is ended whose lease is not renewed any more.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Deadlines {
    term: Moment,
    kill: Moment,
}

impl Deadlines {
    fn new(until: Moment, lease: Duration) -> Deadlines {
        // A clock may run a little slow, and a process takes its time to be killed.
        let margin = (lease / 20).clamp(Duration::from_millis(50), Duration::from_secs(2));
        let kill = until.before(margin);
        Deadlines { term: kill.before(grace(lease)), kill }
    }
}

fn grace(lease: Duration) -> Duration {
    (lease / 3).min(GRACE_MAX)
}

enum Phase {
    Running,
    /// TERM was sent; KILL follows.
    Ending {
        kill: Moment,
        why: String,
    },
    Killed {
        why: String,
    },
}

pub(super) struct Supervisor<'a> {
    pub group: &'a Group,
    pub lease: Duration,
    pub standing: watch::Receiver<Standing>,
    pub signals: &'a mut Signals,
    pub terminal: &'a mut Terminal,
}

impl Supervisor<'_> {
    /// Returns when the command has ended; where the lock was lost, when its whole group has.
    pub async fn run(mut self) -> Outcome {
        let mut phase = Phase::Running;
        let mut deadlines = self.deadlines(&mut phase);
        loop {
            let next = match &phase {
                Phase::Running => Some(deadlines.term),
                Phase::Ending { kill, .. } => Some(*kill),
                Phase::Killed { .. } => None,
            };
            // Deadlines first: after a suspension they come before whatever else has happened.
            tokio::select! {
                biased;
                () = arrival(next) => phase = self.end(phase, deadlines),
                () = news(&mut self.standing) => deadlines = self.deadlines(&mut phase),
                signal = self.signals.next() => {
                    if let Some(code) = self.hear(signal) {
                        return self.ended(code, phase).await;
                    }
                }
            }
        }
    }

    /// What the lock's standing means; a lost lock ends the command now.
    fn deadlines(&mut self, phase: &mut Phase) -> Deadlines {
        let standing = self.standing.borrow_and_update().clone();
        match standing {
            Standing::Held { until } => Deadlines::new(until, self.lease),
            Standing::Lost { why } => {
                let now = Moment::now();
                let deadlines = Deadlines { term: now, kill: now.after(grace(self.lease)) };
                if matches!(phase, Phase::Running) {
                    eprintln!("latchd: the lock is lost: {why}; the command gets TERM");
                    self.signal(Signal::TERM);
                    *phase = Phase::Ending { kill: deadlines.kill, why };
                }
                deadlines
            }
        }
    }

    fn end(&self, phase: Phase, deadlines: Deadlines) -> Phase {
        match phase {
            Phase::Running => {
                let why = "its lease could not be renewed in time".to_owned();
                eprintln!("latchd: {why}; the command gets TERM before the lock can be somebody else's");
                self.signal(Signal::TERM);
                Phase::Ending { kill: deadlines.kill, why }
            }
            Phase::Ending { why, .. } => {
                eprintln!("latchd: the command has not ended and gets KILL");
                self.group.signal(Signal::KILL);
                Phase::Killed { why }
            }
            killed @ Phase::Killed { .. } => killed,
        }
    }

    /// A stopped command would not hear of it.
    fn signal(&self, signal: Signal) {
        self.group.signal(signal);
        self.group.signal(Signal::CONT);
    }

    /// The command's exit code if it has ended.
    fn hear(&mut self, signal: Signal) -> Option<u8> {
        if signal == Signal::CONT {
            self.terminal.resume(self.group);
        }
        if signal != Signal::CHILD {
            self.group.signal(signal);
        }
        match self.group.change()? {
            Change::Ended(code) => Some(code),
            Change::Stopped(by) => {
                self.stopped(by);
                None
            }
        }
    }

    /// A command that wants the terminal gets it. One that was put aside by job control takes this process with it, so
    /// that the shell shows both as stopped; one that was stopped by hand is kept, with its lock.
    fn stopped(&mut self, by: Signal) {
        if self.terminal.serves(self.group, by) {
            self.group.signal(Signal::CONT);
        } else if [Signal::TSTP, Signal::TTIN, Signal::TTOU].contains(&by) {
            stop_the_job();
        }
    }

    async fn ended(self, code: u8, phase: Phase) -> Outcome {
        let (kill, why) = match phase {
            Phase::Running => return Outcome { code, lost: None },
            Phase::Ending { kill, why } => (kill, why),
            Phase::Killed { why } => (Moment::now(), why),
        };
        // What the command has started is not to outlive the lock either.
        while !kill.has_come() && self.group.lives() {
            tokio::time::sleep(GROUP_INTERVAL).await;
        }
        self.group.signal(Signal::KILL);
        Outcome { code, lost: Some(why) }
    }
}

async fn arrival(moment: Option<Moment>) {
    match moment {
        Some(moment) => moment.wait().await,
        None => std::future::pending().await,
    }
}

/// A change of the lock's standing. After the last one there is no further.
async fn news(standing: &mut watch::Receiver<Standing>) {
    if standing.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn term_leaves_time_for_a_good_end_and_kill_comes_before_the_lease_ends() {
        let until = Moment::now().after(Duration::from_secs(3600));
        for (lease_s, term_s, kill_s) in [(30.0, 11.5, 1.5), (3.0, 1.15, 0.15), (600.0, 12.0, 2.0), (1.0, 0.383, 0.05)]
        {
            let deadlines = Deadlines::new(until, Duration::from_secs_f64(lease_s));
            let before_the_end = |moment| until.since(moment).as_secs_f64();
            assert!((before_the_end(deadlines.term) - term_s).abs() < 0.01, "{lease_s}: {deadlines:?}");
            assert!((before_the_end(deadlines.kill) - kill_s).abs() < 0.01, "{lease_s}: {deadlines:?}");
        }
    }
}
