//! The holds of this process: in one session, renewed in the background until their deadline, released at the end.
//!
//! The service has a short lease of each, so that what a killed process held is free soon. The deadline is the agent's: it
//! may forget to release, and its process lives as long as an editor.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::tools::{Acquire, Renew};
use crate::client::clock::Moment;
use crate::client::{AcquiredLock, Client, ClientError, HoldStatus, Keeper, LockRequest, Session};

/// The lease that the service has of each hold.
pub const SERVICE_LEASE: Duration = Duration::from_secs(30);
/// Holds and waits at once.
const HOLDS_MAX: usize = 64;
/// Ended holds that the agent was not told of yet.
const ENDED_MAX: usize = 32;

/// The metadata that says what a holder does.
pub const NOTE: &str = "note";

/// What this process holds and waits for. Clones share it.
#[derive(Clone)]
pub struct Holds {
    client: Client,
    session: Arc<tokio::sync::Mutex<Option<Session>>>,
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    held: Vec<Held>,
    /// Names that are being acquired.
    pending: BTreeSet<String>,
    /// What ended by itself, in sentences, until the agent was told.
    ended: VecDeque<String>,
}

impl Table {
    fn tell(&mut self, lock: &AcquiredLock, why: &str) {
        self.ended.truncate(ENDED_MAX - 1);
        let AcquiredLock { names, fencing_token, .. } = lock;
        self.ended.push_front(format!("You no longer hold {names:?} (fencing token {fencing_token}): {why}."));
    }
}

/// One hold. Dropping the last clone ends its renewals.
#[derive(Clone)]
pub struct Held {
    pub lock: AcquiredLock,
    lease: Duration,
    /// Until when the agent may keep it.
    deadline: Arc<watch::Sender<Moment>>,
}

impl Held {
    pub fn until(&self) -> Moment {
        *self.deadline.borrow()
    }
}

/// Why there is no hold.
#[derive(Debug, thiserror::Error)]
pub enum NotAcquired {
    /// Somebody else has it.
    #[error("the wait ended without the lock")]
    Held,
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Told to the agent as it is.
    #[error("{0}")]
    Refused(String),
}

/// Names that are being acquired; given back when the attempt ends in any way.
struct Pending {
    table: Arc<Mutex<Table>>,
    names: Vec<String>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        for name in &self.names {
            table.pending.remove(name);
        }
    }
}

impl Holds {
    pub fn new(client: Client) -> Holds {
        Holds { client, session: Arc::default(), table: Arc::default() }
    }

    /// Takes locks. Dropping it leaves the queue: the service passes over a waiter whose request is gone.
    pub async fn acquire(&self, asked: &Acquire) -> Result<Held, NotAcquired> {
        let _pending = self.begin(&asked.names).map_err(NotAcquired::Refused)?;
        let request = LockRequest::of_all(&asked.names).lease(SERVICE_LEASE).metadata(NOTE, &asked.note);
        let request = if asked.shared { request.shared() } else { request };
        let end = Moment::now().after(asked.wait());
        let mut may_reopen = true;
        loop {
            let session = self.session().await?;
            match self.client.acquire(&request.clone().wait(end.left())).await {
                Ok(Some(lock)) => return Ok(self.keep(&session, lock, asked.lease())),
                Ok(None) => return Err(NotAcquired::Held),
                // It was idle for too long, or the service has forgotten it.
                Err(error) if error.is_session_unknown() && may_reopen => {
                    may_reopen = false;
                    self.forget(&session).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// One process is one owner: it would wait for itself.
    fn begin(&self, names: &[String]) -> Result<Pending, String> {
        let mut table = self.table.lock();
        for name in names {
            if let Some(held) = table.held.iter().find(|held| held.lock.names.contains(name)) {
                let token = held.lock.fencing_token;
                return Err(format!(
                    "this agent holds {name:?} already, under fencing token {token}: work under it, or release it first. If \
                     it is not yours, another task of the same agent has it"
                ));
            }
            if table.pending.contains(name) {
                return Err(format!("this agent waits for {name:?} already: one call at a time for one name"));
            }
        }
        if table.held.len() + table.pending.len() + names.len() > HOLDS_MAX {
            return Err(format!("this agent has or waits for {HOLDS_MAX} locks already: release some first"));
        }
        table.pending.extend(names.iter().cloned());
        Ok(Pending { table: Arc::clone(&self.table), names: names.to_vec() })
    }

    async fn session(&self) -> Result<Session, ClientError> {
        let mut session = self.session.lock().await;
        match &*session {
            Some(session) => Ok(session.clone()),
            None => Ok(session.insert(self.client.open_session().await?).clone()),
        }
    }

    /// The next call opens another, unless one did already.
    async fn forget(&self, ended: &Session) {
        let mut session = self.session.lock().await;
        if session.as_ref().is_some_and(|session| session.session_id == ended.session_id) {
            *session = None;
        }
    }

    fn keep(&self, session: &Session, lock: AcquiredLock, lease: Duration) -> Held {
        let (deadline, changes) = watch::channel(Moment::now().after(lease));
        let held = Held { lock: lock.clone(), lease, deadline: Arc::new(deadline) };
        let keeper = Keeper::start(&self.client, session, &lock);
        self.table.lock().held.push(held.clone());
        tokio::spawn(watch_over(self.clone(), lock, keeper, changes));
        held
    }

    pub fn find(&self, name: &str) -> Option<Held> {
        self.table.lock().held.iter().find(|held| held.lock.names.iter().any(|one| one == name)).cloned()
    }

    /// Whether a fencing token is of a hold of this process.
    pub fn has_token(&self, token: u64) -> bool {
        self.table.lock().held.iter().any(|held| held.lock.fencing_token == token)
    }

    /// Moves the deadline, once the service has said that it is held. `None`: it is not, any more.
    pub async fn renew(&self, asked: &Renew) -> Result<Option<Held>, ClientError> {
        let Some(held) = self.find(&asked.name) else { return Ok(None) };
        if !self.client.renew_hold(&held.lock).await?.locked {
            self.end(&held.lock, "the service says that it has ended");
            return Ok(None);
        }
        let lease = asked.lease_seconds.map_or(held.lease, Duration::from_secs);
        let table = self.table.lock();
        let still = table.held.iter().find(|one| one.lock.fencing_token == held.lock.fencing_token).cloned();
        if let Some(held) = &still {
            held.deadline.send_replace(Moment::now().after(lease));
        }
        Ok(still)
    }

    /// Releases; whether it was held until now. `None`: there is no such hold.
    pub async fn release(&self, name: &str) -> Result<Option<bool>, ClientError> {
        let Some(held) = self.find(name) else { return Ok(None) };
        self.remove(&held.lock);
        let (_, was_held) = self.client.release_hold(&held.lock).await?;
        Ok(Some(was_held))
    }

    /// Releases in the background what nobody wants any more. If it fails, the lease of the service ends it.
    pub fn give_back(&self, held: Held) {
        self.remove(&held.lock);
        let client = self.client.clone();
        tokio::spawn(async move { client.release_hold(&held.lock).await });
    }

    fn remove(&self, lock: &AcquiredLock) -> bool {
        let mut table = self.table.lock();
        let before = table.held.len();
        table.held.retain(|held| held.lock.fencing_token != lock.fencing_token);
        table.held.len() < before
    }

    /// Forgets a hold whose deadline has come; false if it was renewed or released meanwhile.
    fn expire(&self, lock: &AcquiredLock) -> bool {
        let mut table = self.table.lock();
        let before = table.held.len();
        table.held.retain(|held| held.lock.fencing_token != lock.fencing_token || !held.until().has_come());
        let is_expired = table.held.len() < before;
        if is_expired {
            table.tell(lock, "its lease_seconds have passed without `renew`, and it was released");
        }
        is_expired
    }

    /// Remembers the end of a hold, until the agent is told.
    fn end(&self, lock: &AcquiredLock, why: &str) {
        if self.remove(lock) {
            self.table.lock().tell(lock, why);
        }
    }

    /// What ended by itself since the agent was told last; the newest first.
    pub fn take_ended(&self) -> Vec<String> {
        self.table.lock().ended.drain(..).collect()
    }

    /// Ends the session, and with it all holds and waits.
    pub async fn close(&self) -> Result<(), ClientError> {
        self.client.close_session().await
    }
}

/// Until the hold is released, is lost, or reaches its deadline.
async fn watch_over(holds: Holds, lock: AcquiredLock, keeper: Option<Keeper>, mut deadline: watch::Receiver<Moment>) {
    let Some(keeper) = keeper else { return };
    let mut status = keeper.status();
    loop {
        let until = *deadline.borrow_and_update();
        tokio::select! {
            () = until.wait() => if holds.expire(&lock) {
                // If it fails, the lease of the service ends it.
                let _ = holds.client.release_hold(&lock).await;
                return;
            },
            changed = deadline.changed() => if changed.is_err() { return },
            why = lost(&mut status) => {
                holds.end(&lock, &why);
                return;
            }
        }
    }
}

/// Waits until the hold is lost; the reason.
async fn lost(status: &mut watch::Receiver<HoldStatus>) -> String {
    let lost = status.wait_for(|status| matches!(status, HoldStatus::Lost(_))).await;
    match lost.as_deref() {
        Ok(HoldStatus::Lost(why)) => why.clone(),
        _ => "its renewals have ended".to_owned(),
    }
}
