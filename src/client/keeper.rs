//! Keeping a hold: renewal at a third of its lease, and the moment until when it is certain.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::clock::Moment;
use super::retry::Patience;
use super::{Client, Hold, Session};

/// Where the service does not say how long its sessions live without a request: its default.
const SESSION_IDLE: Duration = Duration::from_secs(600);

/// What is known of a hold that is being kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is held until then at least, by this machine's clock, unless somebody ends it.
    Held { until: Moment },
    /// It is gone, and why.
    Lost { why: String },
}

/// Renews a hold in the background until it is dropped, or the hold is lost.
#[derive(Debug)]
pub struct Keeper {
    standing: watch::Receiver<Standing>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts to renew; needs a tokio runtime. A hold without a lease cannot be kept: its session keeps it.
    pub fn start(client: &Client, session: &Session, hold: &Hold) -> Option<Keeper> {
        let (lease, until) = (hold.lease?, hold.until?);
        let idle = session.idle_timeout.unwrap_or(SESSION_IDLE);
        let (tell, standing) = watch::channel(Standing::Held { until });
        let renewal =
            Renewal { client: client.clone(), name: hold.name.clone(), key: hold.key.clone(), lease, idle, tell };
        Some(Keeper { standing, task: tokio::spawn(renewal.run(until)) })
    }

    /// What is known, and every change of it.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Renewal {
    client: Client,
    name: String,
    key: String,
    lease: Duration,
    idle: Duration,
    tell: watch::Sender<Standing>,
}

impl Renewal {
    async fn run(self, mut until: Moment) {
        // A renewal is also what the session hears of its owner.
        let interval = (self.lease / 3).min(self.idle / 3);
        loop {
            // Where its session ends sooner than its lease, it was asked for so much later.
            until.before(self.lease.min(self.idle)).after(interval).wait().await;
            match self.renew(until).await {
                Ok(renewed) => until = renewed,
                Err(why) => {
                    self.tell.send_replace(Standing::Lost { why });
                    return;
                }
            }
            self.tell.send_replace(Standing::Held { until });
        }
    }

    /// Renews, again and again until the lease has ended by this machine's clock.
    async fn renew(&self, until: Moment) -> Result<Moment, String> {
        loop {
            let patience = Patience {
                until,
                attempt: (self.lease / 6).clamp(Duration::from_millis(200), Duration::from_secs(5)),
                pause_max: (self.lease / 10).min(Duration::from_secs(2)),
            };
            let error = match self.client.renew_within(&self.name, &self.key, self.lease, patience).await {
                Ok((renewed, sent)) if renewed.locked => return Ok(sent.after(renewed.lasts(self.lease))),
                Ok(_) => return Err("the service says that the hold has ended".to_owned()),
                Err(error) if error.is_session_unknown() => return Err("its session has ended".to_owned()),
                Err(error) => error,
            };
            if until.has_come() || error.is_unavailable() {
                return Err(format!("its lease could not be renewed: {error}"));
            }
            // A refusal that may be taken back while the lease still runs, such as of a credential.
            tracing::debug!(%error, "a renewal was refused");
            Moment::now().after(patience.pause_max).wait().await;
        }
    }
}
