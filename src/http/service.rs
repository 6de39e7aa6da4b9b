//! What every handler is given: the engine's face, the access checker, and the few settings that dialects have.

use super::body::{self, BodyError, BodyLimits};
use super::code::Code;
use super::cookie;
use super::failed_logins::FailedLogins;
use super::failure::Failure;
use super::grpc::Contact;
use super::grpc::connection::ConnectionSettings;
use super::hint::check_encoding;
use super::peer::{ClientAddr, Peer};
use super::unknown::Unknown;
use crate::access::Access;
use crate::api::EventSettings;
use crate::dialects::raftlock::grpc::pace::Pace;
use crate::domain::SessionId;
use crate::engine::Engine;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

const SEARCHES_AT_ONCE: usize = 2;

/// Shared by all requests.
pub type Shared = Arc<Service>;

pub struct Service {
    pub engine: Engine,
    pub access: Arc<Access>,
    pub failed_logins: FailedLogins,
    pub settings: Settings,
    pub clock: Clock,
    /// Whether requests can be served, followed.
    pub(crate) contact: watch::Receiver<Contact>,
    /// Searches whose patterns are compared: one may cost far more than it answers.
    pub(crate) searches: Semaphore,
    /// How fast locks come and go.
    pub(crate) pace: watch::Receiver<Pace>,
}

/// What the configuration says about dialects.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `servername` in the GET_LOCK dialect.
    pub server_name: HeaderValue,
    pub body_limits: BodyLimits,
    /// The lease of a lock-by-name hold; `None`: it has no end of its own.
    pub max_hold_ms: Option<u64>,
    /// The lease of a GET_LOCK hold that names no lifetime.
    pub get_lock_lifetime_ms: u64,
    /// Whether `/releaselock` takes a fitting token instead of a credential.
    pub get_lock_release_without_credential: bool,
    /// The lease of a `/lock` hold that names no ttl.
    pub lock_unlock_ttl_ms: u64,
    /// How long a request of kufuli's waits, and how long its lock lasts.
    pub kufuli_wait_ms: u64,
    pub kufuli_max_lock_span_ms: u64,
    pub connections: ConnectionSettings,
    /// How long a stream lasts that needs no credential.
    pub public_stream_age_max: Duration,
    pub events: EventSettings,
    /// What becomes of fields and parameters that are not known.
    pub unknown: Unknown,
    /// The longest idle timeout that a session may be opened with.
    pub session_idle_ms_max: u64,
}

/// Time, handed in: this room reads no clock. No reading decides about a lock.
#[derive(Clone, Copy)]
pub struct Clock {
    /// Wall clock to the millisecond, for moments in RaftLock's answers alone.
    pub unix_time: fn() -> Duration,
    /// Monotonic, since the process started; for the throttle of failed attempts.
    pub uptime: fn() -> Duration,
}

impl Service {
    /// Needs a runtime: it follows the engine.
    pub fn new(engine: Engine, access: Arc<Access>, settings: Settings, clock: Clock) -> Shared {
        let (contact, pace) = (Contact::follow(engine.clone()), Pace::follow(engine.clone()));
        let (failed_logins, searches) = (FailedLogins::default(), Semaphore::new(SEARCHES_AT_ONCE));
        Arc::new(Service { engine, access, failed_logins, settings, clock, contact, searches, pace })
    }

    /// The cookie that goes with an answer to this session.
    pub(crate) fn session_cookie(&self, session: SessionId, head: &Parts) -> HeaderValue {
        cookie::session(session, self.engine.idle_timeout_of(session), client(head).https)
    }

    /// The body of a request, within its bounds.
    pub(crate) async fn body(&self, head: &Parts, body: Body) -> Attempt<Bytes> {
        check_encoding(&head.headers)?;
        self.message(head, body).await
    }

    /// The same under gRPC, whose messages say for themselves whether they are compressed.
    pub(crate) async fn message(&self, head: &Parts, body: Body) -> Attempt<Bytes> {
        self.message_within(head, body, self.settings.body_limits.bytes_max).await
    }

    /// The same with a bound of its own.
    pub(crate) async fn message_within(&self, head: &Parts, body: Body, bytes_max: u64) -> Attempt<Bytes> {
        let limits = self.settings.body_limits;
        let limits = BodyLimits { bytes_max: bytes_max.min(limits.bytes_max), ..limits };
        let read = body::read(body, limits).await.map_err(|error| match error {
            BodyError::TooLarge { limit_bytes } if limit_bytes < self.settings.body_limits.bytes_max => {
                let detail = format!("the message must be at most {limit_bytes} bytes long");
                Failure { limit: Some(limit_bytes), ..Failure::new(Code::BodyTooLarge, detail) }
            }
            BodyError::TooLarge { limit_bytes } => Failure::body_too_large(limit_bytes),
            BodyError::Timeout { .. } => {
                Failure::new(Code::BodyTimeout, error.to_string()).set_by("server.body_timeout")
            }
            BodyError::Disconnected => Failure::new(Code::MalformedBody, error.to_string()),
        })?;
        if let Some(peer) = head.extensions.get::<Peer>() {
            peer.unidentified.has_come();
        }
        Ok(read)
    }
}

/// Who sent a request. Without a listener (a handler called in process) it is this machine, in plaintext.
pub(crate) fn client(head: &Parts) -> ClientAddr {
    const LOCAL: ClientAddr = ClientAddr { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), https: false };
    head.extensions.get::<Peer>().map_or(LOCAL, |peer| peer.client)
}

/// Most handlers end early with a failure in their dialect's shape.
pub(crate) type Attempt<T> = Result<T, Failure>;
