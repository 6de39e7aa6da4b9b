//! While the command runs: signals are passed on, and when the lock is lost the command ends in time.

use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;

use super::super::{code, speech};
use super::group::{Change, Group, Rest};
use super::signals::Signals;
use super::terminal::{Terminal, stop_the_job};
use crate::client::Standing;
use crate::client::clock::Moment;

/// How long a command may take to end in good order, where the lease has room for so much.
const GRACE_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether the last process of a group has ended.
const GROUP_INTERVAL: Duration = Duration::from_millis(20);
/// What has not ended so long after KILL hangs in the kernel.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The command, with this exit code, under its lock.
    Ended(u8),
    /// The lock was lost, and nothing of the command is left.
    Lost,
    /// The lock was lost, and something of the command goes on.
    StillRunning,
}

impl Outcome {
    pub fn code(&self) -> u8 {
        match self {
            Outcome::Ended(code) => *code,
            Outcome::Lost => code::LOST,
            Outcome::StillRunning => code::STILL_RUNNING,
        }
    }

    /// Where the lock was gone before it was given back: a command that has failed says so itself.
    pub fn unprotected(self) -> Outcome {
        if self == Outcome::Ended(0) { Outcome::Lost } else { self }
    }
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
    },
    /// KILL was sent; what has not ended by then cannot be ended.
    Killed {
        given_up: Moment,
    },
}

pub(super) struct Supervisor<'a> {
    pub group: &'a mut Group,
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
                Phase::Ending { kill } => Some(*kill),
                Phase::Killed { given_up } => Some(*given_up),
            };
            // Deadlines first: after a suspension they come before whatever else has happened.
            tokio::select! {
                biased;
                () = arrival(next) => match self.end(&phase, deadlines) {
                    Some(next) => phase = next,
                    None => return self.give_up(),
                },
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
                    self.signal(Signal::TERM);
                    *phase = Phase::Ending { kill: deadlines.kill };
                    speech::note(format!("the lock is lost: {why}; the command gets TERM"));
                }
                deadlines
            }
        }
    }

    /// What follows when the moment of a phase has come; nothing after the last.
    fn end(&self, phase: &Phase, deadlines: Deadlines) -> Option<Phase> {
        match phase {
            Phase::Running => {
                self.signal(Signal::TERM);
                let what = "its lease could not be renewed in time";
                speech::note(format!("{what}; the command gets TERM before the lock can be somebody else's"));
                Some(Phase::Ending { kill: deadlines.kill })
            }
            Phase::Ending { .. } => {
                let now = Moment::now();
                let given_up = if self.group.signal(Signal::KILL) { now.after(STUCK_AFTER) } else { now };
                speech::note("the command has not ended and gets KILL");
                Some(Phase::Killed { given_up })
            }
            Phase::Killed { .. } => None,
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
        if signal != Signal::CHILD && !self.group.signal(signal) {
            let number = signal.as_raw();
            speech::note(format!("signal {number} is not passed on: the command runs as another user"));
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
        let kill = match phase {
            Phase::Running => return Outcome::Ended(code),
            Phase::Ending { kill } => kill,
            Phase::Killed { .. } => Moment::now(),
        };
        // What the command has started is not to outlive the lock either.
        while !kill.has_come() && !matches!(self.group.rest(), Rest::Nobody) {
            tokio::time::sleep(GROUP_INTERVAL).await;
            self.group.reap();
        }
        self.group.signal(Signal::KILL);
        let given_up = Moment::now().after(STUCK_AFTER);
        while matches!(self.group.rest(), Rest::Ours(_)) && !given_up.has_come() {
            tokio::time::sleep(GROUP_INTERVAL).await;
            self.group.reap();
        }
        self.give_up()
    }

    /// Says what is left of the command, if anything is.
    fn give_up(self) -> Outcome {
        let (left, why) = match self.group.rest() {
            Rest::Nobody => return Outcome::Lost,
            Rest::Ours(left) => (left, "KILL has not ended it yet"),
            Rest::Untouchable(left) => (left, "this user may not signal it"),
        };
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        let left = if left.is_empty() { "its processes are not to be seen".to_owned() } else { left.join(", ") };
        speech::note(format!(
            "the command still runs without its lock, because {why}: {left}; the lock is not given back but left to \
             the end of its lease"
        ));
        Outcome::StillRunning
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
    fn kill_follows_term_before_the_lease_ends() {
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
