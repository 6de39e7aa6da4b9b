//! The client of sessions v1 and of the listings, for the command line, for tests and for Rust programs. It knows the
//! wire and nothing of the server.
//!
//! A client has one or several URLs of one service and keeps to one of them while it answers. Calls that nobody
//! answered are sent again, with growing, spread pauses, until the client's patience ends; those that would do harm if
//! they were done twice carry an `Idempotency-Key`. [`Keeper`] renews a hold and says until when it is certain.

mod acquire;
mod admin;
mod builder;
mod call;
pub mod clock;
mod error;
mod events;
mod identity;
mod keeper;
mod met;
mod operate;
mod printable;
mod resolve;
mod retry;
mod tls_error;
mod trust;
mod wire;

pub use acquire::Hold;
pub use admin::{ForcedRelease, Holder, Lock, LockQuery, SessionEntry};
pub use builder::ClientBuilder;
pub use error::ClientError;
pub use events::{Event, EventQuery, Events, Told};
pub use keeper::{Keeper, Standing};
pub use operate::{BackupError, Cluster, Member};
pub use printable::{is_treacherous, printable};
pub use retry::Patience;
pub use trust::Trust;
pub use wire::{Held, LockError, LockRequest, LockResult, Session, UnlockResult};

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Method, Url};

use call::Call;
use clock::Moment;

/// The longest pause between two rounds of attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// One client: its connections, its credential and its session. A clone is the same client.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    /// Never empty.
    bases: Vec<Url>,
    /// Counts up; which of them is asked next.
    turn: AtomicUsize,
    http: reqwest::Client,
    credential: Option<Credential>,
    session: Mutex<Option<String>>,
    attempt_timeout: Duration,
    patience: Duration,
    /// Of every lock that is taken, where the request says nothing else.
    metadata: Vec<(&'static str, String)>,
    /// A connection came about, or at least was not refused.
    met: AtomicBool,
    /// A connection was refused, or there is no way to where it should lead.
    missed: AtomicBool,
    /// At each URL, for messages.
    meetings: met::Meetings,
    /// How long a call is repeated where nobody is there at any URL; as long as any other without it.
    absence: Option<Duration>,
    /// Is told of a call that has no answer so soon.
    notice: Option<(Duration, Notice)>,
}

/// Is given what is known of a call that has no answer yet.
pub type Notice = fn(&str);

/// What the client shows with every request.
enum Credential {
    Password(String),
    ApiKey(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(hidden)")
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let urls: Vec<&str> = self.0.bases.iter().map(Url::as_str).collect();
        f.debug_struct("Client").field("urls", &urls).finish_non_exhaustive()
    }
}

impl Client {
    /// Begins a client of the service at `urls`: one, or several nodes of it with commas between them.
    pub fn builder(urls: &str) -> Result<ClientBuilder, ClientError> {
        ClientBuilder::new(urls)
    }

    /// Whether nobody is there at any of the URLs, as far as is known: connections were refused, and none came about.
    pub fn found_nobody(&self) -> bool {
        self.0.missed.load(Ordering::Relaxed) && !self.0.met.load(Ordering::Relaxed)
    }

    /// How many URLs it has.
    pub fn urls(&self) -> usize {
        self.0.bases.len()
    }

    /// Why there is no result, as far as is known: the last reason of each URL, and which of them are silent.
    pub fn trouble(&self) -> String {
        self.0.meetings.told(&self.0.bases, "no answer in time from")
    }

    /// Whether the service is ready: the URL that says so, which is the first one that answers; the error says why not.
    /// Asks once.
    pub async fn ready(&self) -> Result<String, ClientError> {
        let answer = self.send(&Call::new(Method::GET, "/readyz"), self.once()).await?;
        // A page that answers every address is not the service.
        match answer.text.trim() {
            "ready" => Ok(answer.url.trim_end_matches("/readyz").to_owned()),
            _ => Err(answer.astray("it does not say `ready`")),
        }
    }

    /// Opens a session; its cookie goes with every further call.
    pub async fn open_session(&self) -> Result<Session, ClientError> {
        let call = Call::new(Method::POST, "/session").once();
        let answer = self.send(&call, self.patience()).await?;
        let session: Session = answer.read()?;
        let idle_timeout = wire::idle_timeout(session.idle_timeout_seconds, &answer.headers);
        let session = Session { idle_timeout, ..session };
        *self.session() = Some(session.session_id.clone());
        Ok(session)
    }

    /// Ends the session, if one is open; all it holds is free.
    pub async fn close_session(&self) -> Result<(), ClientError> {
        if self.session().is_none() {
            return Ok(());
        }
        let closed = self.send(&Call::new(Method::DELETE, "/session"), self.patience()).await.map(drop);
        // It may have ended by itself, or the answer to a first attempt was lost.
        let gone = matches!(&closed, Err(error) if error.is_session_not_found());
        if closed.is_ok() || gone {
            *self.session() = None;
        }
        if gone { Ok(()) } else { closed }
    }

    /// Takes a lock, waiting as long as the request says: the plain answer of the service.
    /// [`Client::acquire`] also judges the lease and outlasts a failover.
    pub async fn lock(&self, request: &LockRequest) -> Result<LockResult, ClientError> {
        let call = self.call_for(request);
        let attempt = request.longest_wait().saturating_add(self.0.attempt_timeout);
        self.send(&call, Patience { attempt, ..self.patience() }).await?.about(request.name())
    }

    /// The call that takes a lock, once however often it is sent.
    fn call_for(&self, request: &LockRequest) -> Call {
        let request = request.clone().with_default_metadata(&self.0.metadata);
        Call::new(Method::POST, "/v1/lock").json(&request).once()
    }

    /// Gives a hold back.
    pub async fn unlock(&self, name: &str, key: &str) -> Result<UnlockResult, ClientError> {
        self.unlock_once(name, key).await.map(|(result, _)| result)
    }

    /// As [`Client::unlock`]; whether it was held until now: a hold that is gone may have been given back by an earlier
    /// attempt of this call whose answer was lost.
    pub async fn give_back(&self, name: &str, key: &str) -> Result<bool, ClientError> {
        let (result, earlier) = self.unlock_once(name, key).await?;
        Ok(result.unlocked || earlier)
    }

    async fn unlock_once(&self, name: &str, key: &str) -> Result<(UnlockResult, bool), ClientError> {
        let call = Call::new(Method::POST, "/v1/unlock").json(&wire::Unlock { name, key });
        let answer = self.send(&call, self.patience()).await?;
        Ok((answer.about(name)?, answer.earlier))
    }

    /// Starts the lease of a hold anew with this length.
    pub async fn renew(&self, name: &str, key: &str, lease: Duration) -> Result<LockResult, ClientError> {
        self.renew_within(name, key, lease, self.patience()).await.map(|(result, _)| result)
    }

    /// As [`Client::renew`], with when the answered attempt was sent: the lease counts from there at the earliest.
    async fn renew_within(
        &self,
        name: &str,
        key: &str,
        lease: Duration,
        patience: Patience,
    ) -> Result<(LockResult, Moment), ClientError> {
        let body = wire::Renew { name, key, lock_timeout_seconds: lease.as_secs_f64() };
        let answer = self.send(&Call::new(Method::POST, "/v1/renew").json(&body), patience).await?;
        let result: LockResult = answer.about(name)?;
        if result.locked && result.key != key {
            return Err(answer.astray("it speaks of another hold of the lock"));
        }
        Ok((result, answer.sent))
    }

    fn patience(&self) -> Patience {
        Patience { until: Moment::now().after(self.0.patience), attempt: self.0.attempt_timeout, pause_max: PAUSE_MAX }
    }

    /// Each URL is tried once.
    fn once(&self) -> Patience {
        Patience { until: Moment::now(), ..self.patience() }
    }

    fn session(&self) -> MutexGuard<'_, Option<String>> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
