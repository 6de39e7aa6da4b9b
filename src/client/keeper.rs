//! Renews a hold at a third of its lease, and knows until when it is certain.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::clock::Moment;
use super::retry::RetryPolicy;
use super::{AcquiredLock, Client, Session};

/// The service's default, for services that do not say how long their sessions live without a request.
const SESSION_IDLE: Duration = Duration::from_secs(600);

/// Whether a hold that is being renewed is still held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldStatus {
    /// Held until this moment at least, by this machine's clock, unless another client ends it.
    Held {
        until: Moment,
    },
    Lost {
        reason: String,
    },
}

/// Renews a hold in the background until this is dropped, or the hold is lost.
#[derive(Debug)]
pub struct Keeper {
    status: watch::Receiver<HoldStatus>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts to renew; needs a tokio runtime. `None`: the hold has no lease, and lives as long as its session.
    pub fn start(client: &Client, session: &Session, hold: &AcquiredLock) -> Option<Keeper> {
        let (lease, until) = (hold.lease?, hold.until?);
        let idle = session.idle_timeout.unwrap_or(SESSION_IDLE);
        let (sender, status) = watch::channel(HoldStatus::Held { until });
        let renewal = Renewal { client: client.clone(), hold: hold.clone(), lease, idle, status: sender };
        Some(Keeper { status, task: tokio::spawn(renewal.run(until)) })
    }

    /// The status, and every change of it.
    pub fn status(&self) -> watch::Receiver<HoldStatus> {
        self.status.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Renewal {
    client: Client,
    hold: AcquiredLock,
    lease: Duration,
    idle: Duration,
    status: watch::Sender<HoldStatus>,
}

impl Renewal {
    async fn run(self, mut until: Moment) {
        // A renewal also keeps the session alive.
        let interval = (self.lease / 3).min(self.idle / 3);
        loop {
            // The last renewal was sent that long before `until`.
            until.before(self.lease.min(self.idle)).after(interval).wait().await;
            match self.renew(until).await {
                Ok(renewed) => until = renewed,
                Err(reason) => {
                    self.status.send_replace(HoldStatus::Lost { reason });
                    return;
                }
            }
            self.status.send_replace(HoldStatus::Held { until });
        }
    }

    /// Renews; repeats a failed renewal until the lease has ended by this machine's clock.
    async fn renew(&self, until: Moment) -> Result<Moment, String> {
        let policy = RetryPolicy {
            until,
            attempt: (self.lease / 6).clamp(Duration::from_millis(200), Duration::from_secs(5)),
            delay_max: (self.lease / 10).min(Duration::from_secs(2)),
        };
        loop {
            let error = match self.client.renew_with(&self.hold.name, &self.hold.key, self.lease, policy).await {
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
            Moment::now().after(policy.delay_max).wait().await;
        }
    }
}
