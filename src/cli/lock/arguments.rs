//! The command line of `latchd lock`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::super::Failure;
use super::super::connect::Connect;
use crate::client::LockRequest;

#[derive(Debug, Args)]
#[command(after_help = HELP, override_usage = USAGE)]
pub struct Lock {
    /// The lock to hold while the command runs; one whose name begins with a hyphen stands behind a `--` of its own
    #[arg(required_unless_present = "command")]
    pub(super) name: Option<String>,
    /// How many may hold the lock at once; all users of the lock must give the same number
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    size: u32,
    /// How long to wait for the lock, such as 30s; 0s tries once. Waits as long as it takes unless given
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) wait: Option<Duration>,
    /// How long the lock stays taken after this process could last renew it; renewed at a third of it
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = lease)]
    pub(super) lease: Duration,
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

const USAGE: &str = "latchd lock [OPTIONS] <NAME> -- <COMMAND>...";

const HELP: &str = "\
The command runs in a process group of its own, with the signal mask and dispositions of whoever called. In its
environment are LATCHD_LOCK_NAME, LATCHD_LOCK_KEY, LATCHD_FENCING_TOKEN, and LATCHD_FENCING_TOKENS: those of every
`latchd lock` around it, the outermost first, with commas between them. Below another `latchd lock` that holds the same
lock there is nothing to wait for: that is told at once, as not acquired. TERM, INT, HUP, QUIT, USR1, USR2, WINCH, TSTP
and CONT are passed on to the whole group. The lock is released when the command ends; what it leaves running in the
background is not protected by it.

If the lock is lost, or cannot be renewed, the group gets TERM, and KILL before the lease ends by this machine's own
clock, a third of the lease later at most (10 s if that is less). If this process is killed, the group is killed too.
Whoever was paused for longer than its lease may still be too late: only a resource that compares the fencing token
refuses it.

Exit codes:
  that of the command, or 128 + n where signal n ended it
  69   no node of the service answered for 10 s; with --wait: nobody is there, every connection was refused
  71   the operating system did not let the command be started
  75   not acquired within --wait, whatever the service or a proxy before it did; the message says who holds it, or
       why there was no answer
  76   lost: the lock ended or could not be renewed, and the command was ended, or had ended with 0 before that was known
  77   the service refused the request (credential, right, a limit)
  78   the settings of the connection cannot be used, TLS among them
  79   lost, and the command still runs: it cannot be ended, as one of another user; the lock is left to its lease
  126  the command cannot be executed
  127  the command was not found
  2    wrong usage

Examples:
  latchd lock nightly-backup --wait 0s -- /usr/local/bin/backup --all      skip this run if the last one still runs
  latchd lock deploy/production --wait 10m --metadata ticket=OPS-7 -- ./deploy.sh
  latchd lock --wait 0s -- -x -- ./deploy.sh                               a name that begins with a hyphen
  latchd lock gpu --size 4 -- sh -c 'train --fence \"$LATCHD_FENCING_TOKEN\"'
  */5 * * * *  LATCHD_URL=https://locks:8443 latchd lock feed --wait 1m -- fetch-feed        in a crontab";

impl Lock {
    /// Finds a name that begins with a hyphen: a first `--` ends the options then, and a second one begins the command.
    pub(super) fn named(mut self) -> Result<Lock, Failure> {
        let is_name = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
        if let (None, [name, dashes, _, ..]) = (&self.name, self.command.as_slice())
            && is_name(name)
            && dashes == "--"
        {
            let name =
                name.to_str().ok_or_else(|| Failure::usage(format!("{} is not UTF-8", name.to_string_lossy())))?;
            self.name = Some(name.to_owned());
            self.command.drain(..2);
        }
        match self.name {
            Some(_) => Ok(self),
            None => Err(Failure::usage(format!("<NAME> is missing\n\nUsage: {USAGE}"))),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The request, without the wait.
    pub(super) fn request(&self) -> LockRequest {
        let request = LockRequest::new(self.name()).size(self.size).lease(self.lease);
        self.metadata.iter().fold(request, |request, (key, value)| request.metadata(key, value))
    }
}

pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a duration like 250ms, 30s, 10m or 24h".to_owned())
}

/// Less than a second is too short to end a command with TERM.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if lease < Duration::from_secs(1) { Err("a lease must be at least 1s long".to_owned()) } else { Ok(lease) }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
