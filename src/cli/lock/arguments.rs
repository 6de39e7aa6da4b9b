//! The command line of `latchd lock`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::super::Failure;
use super::super::connect::Connect;
use super::asked::{Asked, duration, lease, names_behind_dashes, pair};
use super::deadlock::Need;
use crate::client::LockRequest;

#[derive(Debug, Args)]
#[command(after_help = HELP, override_usage = USAGE)]
pub struct Lock {
    /// The lock to hold while the command runs, or several, all at once or none; names that begin with a hyphen stand
    /// behind a `--` of their own
    #[arg(required_unless_present = "command", value_name = "NAME")]
    names: Vec<String>,
    /// Shares each lock with all who take it so; who takes it without waits until it is alone
    #[arg(long, conflicts_with = "size")]
    shared: bool,
    /// How many may hold the lock at once, 1 unless given; all users of the lock must give the same number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    size: Option<u32>,
    /// How many of the places of --size this one takes, 1 unless given
    #[arg(long, value_name = "N", requires = "size", value_parser = clap::value_parser!(u32).range(1..))]
    weight: Option<u32>,
    /// For how long nobody gets the lock if it is lost: for what the command has sent off and nobody can call back
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    lock_delay: Option<Duration>,
    /// How long to wait for the lock, such as 30s; 0s tries once. Waits as long as it takes unless given
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) wait: Option<Duration>,
    /// How long the lock stays taken after this process could last renew it; renewed at a third of it
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = lease)]
    lease: Duration,
    /// Metadata that listings show with the hold, beside `host`, `pid` and `user`; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Does not tell the service `host`, `pid` and `user`
    #[arg(long)]
    pub(super) no_default_metadata: bool,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
    #[command(flatten)]
    pub(super) connect: Connect,
}

const USAGE: &str = "latchd lock [OPTIONS] <NAME>... -- <COMMAND>...";

const HELP: &str = "\
The command runs in a process group of its own, with the signal mask and dispositions of whoever called. In its
environment are LATCHD_LOCK_NAME (of several, the first), LATCHD_LOCK_NAMES (all, as a JSON list), LATCHD_LOCK_KEY,
LATCHD_FENCING_TOKEN, and LATCHD_FENCING_TOKENS: those of every `latchd lock` around it, the outermost first, with commas
between them. Below another `latchd lock` that holds the same lock there is nothing to wait for: that is told at once, as
not acquired. TERM, INT, HUP, QUIT, USR1, USR2, WINCH, TSTP and CONT are passed on to the whole group. The lock is
released when the command ends; what it leaves running in the background is not protected by it.

Several locks have one key, one token and one lease, and while they are waited for none of them is held: whoever takes
them so, in any order, never waits for another who does. One `latchd lock` in the command of another can.

If the lock is lost, or cannot be renewed, the group gets TERM, and KILL before the lease ends by this machine's own
clock, a third of the lease later at most (10 s if that is less). If this process is killed, the group is killed too.
Whoever was paused for longer than its lease may still be too late: only a resource that compares the fencing token
refuses it.

Exit codes:
  that of the command, or 128 + n where signal n ended it
  69   no node of the service answered for 10 s; with --wait: nobody is there, every connection was refused
  71   the operating system did not let the command be started
  75   not acquired within --wait, whatever the service or a proxy before it did; the message says who holds it, or
       why there was no answer; or not acquired at once, because the wait would be a deadlock, with who waits for whom
  76   lost: the lock ended or could not be renewed, and the command was ended, or had ended with 0 before that was known
  77   the service refused the request (credential, right, a limit), or is too old for it
  78   the settings of the connection cannot be used, TLS among them
  79   lost, and the command still runs: it cannot be ended, as one of another user; the lock is left to its lease
  126  the command cannot be executed
  127  the command was not found
  2    wrong usage

Examples:
  latchd lock nightly-backup --wait 0s -- /usr/local/bin/backup --all      skip this run if the last one still runs
  latchd lock deploy/production --wait 10m --metadata ticket=OPS-7 -- ./deploy.sh
  latchd lock --wait 0s -- -x -- ./deploy.sh                               a name that begins with a hyphen
  latchd lock accounts/7 accounts/9 -- ./transfer.sh                       both or none
  latchd lock report --shared -- ./read.sh                                 beside other readers
  latchd lock memory-gb --size 64 --weight 24 -- ./build.sh                24 of 64
  latchd lock gpu --size 4 -- sh -c 'train --fence \"$LATCHD_FENCING_TOKEN\"'
  */5 * * * *  LATCHD_URL=https://locks:8443 latchd lock feed --wait 1m -- fetch-feed        in a crontab";

impl Lock {
    /// Finds names that begin with a hyphen: a first `--` ends the options then, and a second one begins the command.
    pub(super) fn named(mut self) -> Result<Lock, Failure> {
        if self.names.is_empty() {
            self.names = names_behind_dashes(&mut self.command)?;
        }
        match self.names.as_slice() {
            [] => Err(Failure::usage(format!("<NAME> is missing\n\nUsage: {USAGE}"))),
            [_] => Ok(self),
            _ if self.size.is_some() => Err(Failure::usage("--size goes with one lock, not with several")),
            _ => Ok(self),
        }
    }

    pub(super) fn asked(&self) -> Asked {
        Asked {
            names: self.names.clone(),
            need: if self.shared { Need::Shared } else { Need::Places(self.weight.unwrap_or(1)) },
            request: self.request(),
            wait: self.wait,
            lease: self.lease,
        }
    }

    fn request(&self) -> LockRequest {
        let mut request = LockRequest::of_all(&self.names).lease(self.lease);
        request = match (self.shared, self.names.len()) {
            (true, _) => request.shared(),
            (false, 1) => request.size(self.size.unwrap_or(1)),
            (false, _) => request,
        };
        request = self.weight.into_iter().fold(request, LockRequest::weight);
        request = self.lock_delay.into_iter().fold(request, LockRequest::lock_delay);
        self.metadata.iter().fold(request, |request, (key, value)| request.metadata(key, value))
    }
}
