//! Passes signals on while the command runs, and ends it in time when the lock is lost.

use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;

use super::super::{exit, output_queue};
use super::group::{Change, Group, Remaining};
use super::job_control::{Signals, Terminal, stop_the_job};
use crate::client::HoldStatus;
use crate::client::clock::Moment;

/// The longest time between TERM and KILL.
const GRACE_MAX: Duration = Duration::from_secs(10);
/// How often the group is checked for its end.
const GROUP_INTERVAL: Duration = Duration::from_millis(20);
/// A process that has not ended this long after KILL hangs in the kernel.
const STUCK_AFTER: Duration = Duration::from_secs(2);

pub(super) enum Outcome {
    /// The command ended with this exit code, under its lock.
    Ended(u8),
    /// The lock was lost, and no process of the command is left.
    Lost,
    /// The lock was lost, and some process of the command still runs.
    StillRunning,
}

impl Outcome {
    pub fn code(&self) -> u8 {
        match self {
            Outcome::Ended(code) => *code,
            Outcome::Lost => exit::LOST,
            Outcome::StillRunning => exit::STILL_RUNNING,
        }
    }
}

/// When a command is ended if its lease is not renewed.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    term: Moment,
    kill: Moment,
}

impl Deadlines {
    fn new(until: Moment, lease: Duration) -> Deadlines {
        // Clocks drift, and killing a process takes time.
        let margin = (lease / 20).clamp(Duration::from_millis(50), Duration::from_secs(2));
        let kill = until.before(margin);
        Deadlines { term: kill.before(grace(lease)), kill }
    }
}

fn grace(lease: Duration) -> Duration {
    (lease / 3).min(GRACE_MAX)
}

enum Phase {
    Running(Deadlines),
    /// TERM was sent; KILL follows at this moment.
    Ending(Moment),
    /// KILL was sent; a process that lives at this moment cannot be ended.
    Killed(Moment),
}

pub(super) struct Supervisor<'a> {
    pub group: &'a mut Group,
    pub lease: Duration,
    pub status: watch::Receiver<HoldStatus>,
    pub signals: &'a mut Signals,
    pub terminal: &'a mut Terminal,
}

impl Supervisor<'_> {
    /// Returns when the command has ended; where the lock was lost, when its whole group has.
    pub async fn run(mut self) -> Outcome {
        let mut phase = self.running();
        loop {
            let next = match phase {
                Phase::Running(Deadlines { term: end, .. }) | Phase::Ending(end) | Phase::Killed(end) => end,
            };
            // Deadlines first, because they may have passed during a suspension.
            tokio::select! {
                biased;
                () = next.wait() => match self.end(&phase) {
                    Some(next) => phase = next,
                    None => return self.give_up(),
                },
                Ok(()) = self.status.changed(), if matches!(phase, Phase::Running(_)) => phase = self.running(),
                signal = self.signals.next() => {
                    if let Some(code) = self.handle(signal) {
                        return self.ended(code, phase).await;
                    }
                }
            }
        }
    }

    /// The phase of a running command, by the lock's status; a lost lock ends the command now.
    fn running(&mut self) -> Phase {
        let status = self.status.borrow_and_update().clone();
        match status {
            HoldStatus::Held { until, .. } => Phase::Running(Deadlines::new(until, self.lease)),
            HoldStatus::Lost(reason) => {
                let kill = Moment::now().after(grace(self.lease));
                self.signal(Signal::TERM);
                output_queue::note(format!("the lock is lost: {reason}; the command gets TERM"));
                Phase::Ending(kill)
            }
        }
    }

    /// The next phase when the deadline of a phase has passed; `None` after the last.
    fn end(&self, phase: &Phase) -> Option<Phase> {
        match phase {
            Phase::Running(Deadlines { kill, .. }) => {
                self.signal(Signal::TERM);
                let why = match &*self.status.borrow() {
                    HoldStatus::Held { refused: Some(refused), .. } => format!(": {refused}"),
                    _ => String::new(),
                };
                let what = format!("its lease could not be renewed in time{why}");
                output_queue::note(format!("{what}; the command gets TERM before the lock can be somebody else's"));
                Some(Phase::Ending(*kill))
            }
            Phase::Ending(_) => {
                let now = Moment::now();
                let give_up = if self.group.signal(Signal::KILL) { now.after(STUCK_AFTER) } else { now };
                output_queue::note("the command has not ended and gets KILL");
                Some(Phase::Killed(give_up))
            }
            Phase::Killed(_) => None,
        }
    }

    /// Also continues the command, because a stopped one would not get the signal.
    fn signal(&self, signal: Signal) {
        self.group.signal(signal);
        self.group.signal(Signal::CONT);
    }

    /// Handles a signal; returns the command's exit code if it has ended.
    fn handle(&mut self, signal: Signal) -> Option<u8> {
        if signal == Signal::CONT {
            self.terminal.resume(self.group);
        }
        if signal != Signal::CHILD && !self.group.signal(signal) {
            let number = signal.as_raw();
            output_queue::note(format!("signal {number} is not passed on: the command runs as another user"));
        }
        match self.group.change()? {
            Change::Ended(code) => Some(code),
            Change::Stopped(by) => {
                self.stopped(by);
                None
            }
        }
    }

    /// Lends the terminal to a command that wants it. Stops this process with a command that job control stopped, so
    /// that the shell shows both as stopped. A command that was stopped by hand keeps its lock.
    fn stopped(&mut self, by: Signal) {
        if self.terminal.serves(self.group, by) {
            self.group.signal(Signal::CONT);
        } else if [Signal::TSTP, Signal::TTIN, Signal::TTOU].contains(&by) {
            stop_the_job();
        }
    }

    async fn ended(self, code: u8, phase: Phase) -> Outcome {
        let kill = match phase {
            Phase::Running(_) => return Outcome::Ended(code),
            Phase::Ending(kill) => kill,
            Phase::Killed(_) => Moment::now(),
        };
        // The processes that the command started must not outlive the lock either.
        while !kill.has_come() && !matches!(self.group.remaining(), Remaining::None) {
            tokio::time::sleep(GROUP_INTERVAL).await;
            self.group.reap();
        }
        self.group.signal(Signal::KILL);
        let give_up = Moment::now().after(STUCK_AFTER);
        while matches!(self.group.remaining(), Remaining::Ours(_)) && !give_up.has_come() {
            tokio::time::sleep(GROUP_INTERVAL).await;
            self.group.reap();
        }
        self.give_up()
    }

    /// Reports the processes that are left, if any.
    fn give_up(self) -> Outcome {
        let (left, why) = match self.group.remaining() {
            Remaining::None => return Outcome::Lost,
            Remaining::Ours(left) => (left, "KILL has not ended it yet"),
            Remaining::Untouchable(left) => (left, "this user may not signal it"),
        };
        let left = if left.is_empty() { "its processes are not to be seen".to_owned() } else { left.join(", ") };
        output_queue::note(format!(
            "the command still runs without its lock, because {why}: {left}; the lock is not released but left to \
             the end of its lease"
        ));
        Outcome::StillRunning
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
