//! `latchd elect`: runs a command while this process leads an election, as `latchd lock` does under a lock.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use nix::sys::signal::SigSet;

use super::super::connect::Connect;
use super::super::{Failure, exit, output_queue};
use super::asked::{Asked, duration, lease, names_behind_dashes, pair};
use super::deadlock::Need;
use super::group::Group;
use super::job_control::Signals;
use super::run::{NO_COMMAND, NO_SIGNALS, on_this_thread, os_error, retry_for, run_once};
use super::sidecar::{Sidecar, address};
use super::supervise::Outcome;
use crate::client::{Client, LockRequest};

/// How long a lookup for the side-car may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(after_help = HELP, override_usage = USAGE)]
pub struct Elect {
    /// The election to win; one whose name begins with a hyphen stands behind a `--` of its own
    #[arg(required_unless_present = "command")]
    name: Option<String>,
    /// What lookups say about this leader, such as its address; the name of this host unless given
    #[arg(long, value_name = "TEXT")]
    value: Option<String>,
    /// How long to wait to be elected, such as 30s; 0s tries once. Waits as long as it takes unless given
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "forever")]
    wait: Option<Duration>,
    /// After which time without a renewal another one is elected; renewed at a third of it
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = lease)]
    lease: Duration,
    /// Campaigns again whenever the command has ended or the lead was lost, and runs the command after each win
    #[arg(long)]
    forever: bool,
    /// Answers `GET /leader` there for other processes; on 127.0.0.1 if only a port is given
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = address)]
    serve: Option<std::net::SocketAddr>,
    /// Metadata that listings show with the hold, beside `host`, `pid` and `user`; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Does not tell the service `host`, `pid` and `user`
    #[arg(long)]
    no_default_metadata: bool,
    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    #[command(flatten)]
    connect: Connect,
}

const USAGE: &str = "latchd elect [OPTIONS] <NAME> -- <COMMAND>...";

const HELP: &str = "\
The command runs while this process leads, as under `latchd lock`: with the same variables in its environment, of which
LATCHD_FENCING_TOKEN rises from leader to leader, with the same signals passed on, and ended in time if the lead is lost
or cannot be renewed. When it ends, this process resigns. `latchd leader NAME` asks who leads.

With --forever it campaigns again then, waits while no node of the service answers, and ends when it gets TERM, INT, HUP
or QUIT, or when the command cannot be run.

With --serve it answers `GET /leader` from the beginning, also while another one leads: {\"name\", \"leader\", \"value\",
\"fencing_token\", \"reliable_for_seconds\"}. \"leader\" says whether it is this process; value and token are null if
nobody leads. For \"reliable_for_seconds\" nobody else is elected. The status is 503 if the service cannot be asked.
It has neither TLS nor a credential: name an address that other machines reach only if they may all know.

Exit codes: those of `latchd lock`, for the lead instead of the lock; 75 is: not elected within --wait.

Examples:
  latchd elect scheduler --value 10.0.0.7:8080 -- ./scheduler
  latchd elect scheduler --forever --serve 4040 -- ./scheduler      curl -s http://127.0.0.1:4040/leader beside it
  latchd elect nightly --wait 0s -- ./run.sh                         only if nobody leads";

impl Elect {
    /// Runs the command as the leader; returns its exit code, or one of ours.
    pub fn run(self) -> Result<u8, Failure> {
        let arguments = &self.named()?;
        // First, before anything changes that processes inherit.
        let inherited = SigSet::thread_get_mask().map_err(|error| os_error(NO_SIGNALS)(error.into()))?;
        let mut group = Group::prepare(&arguments.command).map_err(os_error(NO_COMMAND))?;
        let asked = arguments.asked();
        let client = arguments.connect.builder()?.retry_for(retry_for(asked.wait));
        let client = client.default_metadata(!arguments.no_default_metadata).build().map_err(Failure::config)?;
        on_this_thread(async {
            let mut signals = Signals::listen().map_err(os_error(NO_SIGNALS))?;
            let sidecar = arguments.sidecar().await?;
            loop {
                let tell = |hold: &_, status| sidecar.iter().for_each(|sidecar| sidecar.begin(hold, &status));
                match run_once(&client, &asked, &mut signals, &mut group, tell).await {
                    Err(failure) if arguments.forever && failure.code == exit::UNREACHABLE => {
                        output_queue::note(format!("{}; it is asked again", failure.message));
                        continue;
                    }
                    Ok(outcome) if arguments.goes_on(&outcome, &signals) => {}
                    ended => return ended.map(|outcome| outcome.code()),
                }
                group = Group::prepare_again(&arguments.command, &inherited).map_err(os_error(NO_COMMAND))?;
            }
        })
    }

    fn named(mut self) -> Result<Elect, Failure> {
        if self.name.is_none() {
            let names = names_behind_dashes(&mut self.command)?;
            self.name = <[String; 1]>::try_from(names).ok().map(|[name]| name);
        }
        match self.name {
            Some(_) => Ok(self),
            None => Err(Failure::usage(format!("<NAME> is missing\n\nUsage: {USAGE}"))),
        }
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn asked(&self) -> Asked {
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        let request = LockRequest::campaign(self.name(), self.value.clone().unwrap_or_else(host)).lease(self.lease);
        let request = self.metadata.iter().fold(request, |request, (key, value)| request.metadata(key, value));
        let names = vec![self.name().to_owned()];
        Asked { names, need: Need::Places(1), request, wait: self.wait, lease: self.lease }
    }

    async fn sidecar(&self) -> Result<Option<Arc<Sidecar>>, Failure> {
        let Some(address) = self.serve else { return Ok(None) };
        let client = self.connect.builder()?.timeout(LOOKUP_TIMEOUT).retry_for(Duration::ZERO);
        let client: Client = client.build().map_err(Failure::config)?;
        Sidecar::start(client, self.name(), address).await.map(Some)
    }

    /// Whether to campaign again.
    fn goes_on(&self, outcome: &Outcome, signals: &Signals) -> bool {
        let can_run = match outcome {
            Outcome::Ended(code) => ![exit::NOT_EXECUTABLE, exit::NOT_FOUND].contains(code),
            Outcome::Lost => true,
            Outcome::StillRunning => false,
        };
        self.forever && can_run && !signals.asked_to_end()
    }
}
