//! The state that all handlers share: the engine and its readiness, the access checker and the settings of this kit.

use super::body::{self, BodyError, BodyLimits, check_encoding};
use super::catalog::Catalog;
use super::code::Code;
use super::connection::{ClientInfo, client};
use super::cookie;
use super::ending_keys::EndingKeys;
use super::failed_logins::FailedLogins;
use super::failure::Failure;
use super::unknown_fields::UnknownFields;
use crate::access::{Access, Rates};
use crate::audit::Audit;
use crate::config::Config;
use crate::config::limits::GRACE_MIN;
use crate::domain::SessionId;
use crate::engine::Engine;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

pub type AppState = Arc<App>;

pub struct App {
    pub engine: Engine,
    pub access: Arc<Access>,
    pub audit: Arc<Audit>,
    pub rates: Arc<Rates>,
    pub failed_logins: FailedLogins,
    pub ending_keys: EndingKeys,
    pub settings: Settings,
    pub catalog: Arc<Catalog>,
    pub readiness: watch::Receiver<Readiness>,
    /// For what takes long: the threads of one runtime for all workers, because each thread keeps some memory.
    pub blocking: Handle,
}

/// Settings that apply to all requests.
#[derive(Clone, Debug)]
pub struct Settings {
    pub body_limits: BodyLimits,
    /// How long a stream without a credential lasts.
    pub public_stream_age_max: Duration,
    pub unknown_fields: UnknownFields,
}

impl Settings {
    fn of(config: &Config) -> Settings {
        let (server, ignores) = (&config.server, config.compat.ignore_unknown_fields);
        Settings {
            body_limits: BodyLimits { bytes_max: server.body_bytes_max, timeout: server.body_timeout },
            public_stream_age_max: server.public_stream_age_max,
            unknown_fields: if ignores { UnknownFields::Ignore } else { UnknownFields::Refuse },
        }
    }
}

impl App {
    /// Needs a runtime: it follows the engine.
    pub fn new(
        engine: Engine,
        access: Access,
        audit: Audit,
        rates: Arc<Rates>,
        catalog: Catalog,
        config: &Config,
    ) -> AppState {
        let (readiness, settings) = (Readiness::follow(engine.clone()), Settings::of(config));
        let (access, catalog, failed_logins) = (Arc::new(access), Arc::new(catalog), FailedLogins::default());
        let (ending_keys, blocking) = (EndingKeys::default(), Handle::current());
        Arc::new(App {
            engine,
            access,
            audit: Arc::new(audit),
            rates,
            failed_logins,
            ending_keys,
            settings,
            catalog,
            readiness,
            blocking,
        })
    }

    /// The cookie that goes with an answer to this session.
    pub(crate) fn session_cookie(&self, session: SessionId, head: &Parts) -> HeaderValue {
        cookie::session(session, client(head).https)
    }

    /// The body of a request, within its bounds.
    pub(crate) async fn body(&self, head: &Parts, body: Body) -> Result<Bytes, Failure> {
        check_encoding(&head.headers)?;
        self.message(head, body).await
    }

    /// As `body`, for gRPC, whose messages have a flag for compression of their own.
    pub(crate) fn message(&self, head: &Parts, body: Body) -> impl Future<Output = Result<Bytes, Failure>> {
        self.message_up_to(head, body, self.settings.body_limits.bytes_max)
    }

    /// The same with a bound of its own.
    pub(crate) async fn message_up_to(&self, head: &Parts, body: Body, bytes_max: u64) -> Result<Bytes, Failure> {
        let limits = self.settings.body_limits;
        let limits = BodyLimits { bytes_max: bytes_max.min(limits.bytes_max), ..limits };
        let read = body::read(body, limits).await.map_err(|error| self.unread(error))?;
        if let Some(info) = head.extensions.get::<ClientInfo>() {
            info.unidentified.body_received();
        }
        Ok(read)
    }

    fn unread(&self, error: BodyError) -> Failure {
        match error {
            BodyError::TooLarge { limit_bytes } if limit_bytes < self.settings.body_limits.bytes_max => {
                let detail = format!("the message must be at most {limit_bytes} bytes long");
                Failure::new(Code::BodyTooLarge, detail).with_limit(limit_bytes)
            }
            BodyError::TooLarge { limit_bytes } => Failure::body_too_large(limit_bytes),
            BodyError::Timeout { .. } => {
                Failure::new(Code::BodyTimeout, error.to_string()).set_by("server.body_timeout")
            }
            BodyError::Disconnected => Failure::new(Code::MalformedBody, error.to_string()),
        }
    }
}

/// How often the engine is asked.
const INTERVAL: Duration = Duration::from_millis(250);
/// After so long without a leader this node closes the connections that carry sessions: before the leader may end them.
const LOST_AFTER: Duration = Duration::from_secs(GRACE_MIN.as_secs() / 2);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Readiness {
    pub ready: bool,
    /// No leader that a majority has confirmed was heard of for a while, and no drain was announced.
    pub leader_lost: bool,
}

impl Readiness {
    /// Follows the engine until all receivers are dropped. Needs a runtime.
    pub fn follow(engine: Engine) -> watch::Receiver<Readiness> {
        let (sender, receiver) = watch::channel(Readiness { ready: engine.is_ready(), leader_lost: false });
        tokio::spawn(async move {
            let mut without = Duration::ZERO;
            while !sender.is_closed() {
                tokio::time::sleep(INTERVAL).await;
                let ready = engine.is_ready();
                // A disk that keeps this node from being ready ends no session: the leader still gets their touches.
                without = if engine.is_in_contact() || engine.is_drain_announced() {
                    Duration::ZERO
                } else {
                    without + INTERVAL
                };
                let readiness = Readiness { ready, leader_lost: without >= LOST_AFTER };
                sender.send_if_modified(|known| std::mem::replace(known, readiness) != readiness);
            }
        });
        receiver
    }
}
