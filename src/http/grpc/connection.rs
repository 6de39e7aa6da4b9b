//! Sessions that live as long as a connection: LDLM's idea of who holds a lock.
//!
//! They are ordinary sessions. Their idle time is the grace that holds are given when a whole process dies; while a
//! connection lives, its node touches them. When the connection ends before the process does, so does the session.

use crate::domain::{Caller, Refusal, SessionId};
use crate::engine::{EngineError, Fault};
use crate::http::delivery::ConnState;
use crate::http::service::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long after a failed attempt a session is closed again.
const AGAIN: Duration = Duration::from_millis(500);

/// How sessions of connections live. From the configuration.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionSettings {
    /// How long holds outlive the process that their connection led to.
    pub loss_grace: Duration,
    /// Holds stay when their connection ends, as long as this process lives.
    pub no_clear_on_disconnect: bool,
    /// Sessions of connections also where a proxy stands between, which may give one to several clients.
    pub allow_via_proxy: bool,
}

/// The session of one connection, or what it will be.
pub struct ConnectionSession {
    state: watch::Sender<State>,
    /// Becomes true when the connection has ended.
    ended: watch::Sender<bool>,
}

#[derive(Clone, PartialEq)]
enum State {
    Opening,
    Open(SessionId),
    /// There is none, and this is why.
    Failed(Fault),
}

impl ConnectionSession {
    fn new() -> Arc<ConnectionSession> {
        Arc::new(ConnectionSession { state: watch::Sender::new(State::Opening), ended: watch::Sender::new(false) })
    }

    /// The connection is gone.
    pub fn connection_ended(&self) {
        self.ended.send_replace(true);
    }

    /// Another may be opened in its place.
    pub fn has_failed(&self) -> bool {
        matches!(*self.state.borrow(), State::Failed(_))
    }

    async fn opened(&self) -> Result<SessionId, Fault> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| *state != State::Opening).await;
        match settled.as_deref() {
            Ok(State::Open(session)) => Ok(*session),
            Ok(State::Failed(fault)) => Err(fault.clone()),
            Ok(State::Opening) | Err(_) => Err(EngineError::ShuttingDown.into()),
        }
    }
}

/// The session of this connection, opened now, as this caller's, if there is none yet.
pub async fn session(service: &Shared, connection: &Arc<ConnState>, caller: Caller) -> Result<SessionId, Fault> {
    let begin = || {
        let session = ConnectionSession::new();
        let keeper = Keeper {
            service: Shared::clone(service),
            connection: Arc::clone(connection),
            session: Arc::clone(&session),
        };
        tokio::spawn(keeper.keep(caller));
        session
    };
    match connection.session(begin) {
        Some(session) => session.opened().await,
        // The connection has ended meanwhile: nobody waits for the answer.
        None => Err(Refusal::WaitCancelled.into()),
    }
}

/// Keeps one session from its opening to its end. A task of its own, so that no request that is dropped halfway leaves
/// a session behind.
struct Keeper {
    service: Shared,
    connection: Arc<ConnState>,
    session: Arc<ConnectionSession>,
}

impl Keeper {
    async fn keep(self, caller: Caller) {
        let grace = self.service.settings.connections.loss_grace;
        match self.service.engine.open_session_for(grace, None, caller).await {
            Ok(session) => {
                self.session.state.send_replace(State::Open(session));
                self.while_connected(session).await;
                self.afterwards(session).await;
            }
            Err(fault) => {
                self.session.state.send_replace(State::Failed(fault));
            }
        }
    }

    async fn while_connected(&self, session: SessionId) {
        let mut ended = self.session.ended.subscribe();
        let mut contact = self.service.contact.clone();
        loop {
            let in_contact = tokio::select! {
                _ = ended.wait_for(|ended| *ended) => return,
                Ok(_) = contact.wait_for(|contact| contact.lost) => false,
                () = tokio::time::sleep(self.touch_interval()) => true,
            };
            if !in_contact {
                break;
            }
            self.touch(session).await;
        }
        // Whoever holds locks here must look for a node that can say whether it still does.
        tracing::warn!("no contact with a leader: a connection that carries a session is closed");
        self.connection.end();
        // An error would mean that there is no session any more.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    async fn touch(&self, session: SessionId) {
        if let Err(Fault::Refused(Refusal::SessionUnknown)) = self.service.engine.touch_session(session).await {
            // Its holds are gone; going on as if nothing had happened would hide that from its client.
            self.connection.end();
        }
    }

    /// Three sightings in a grace: a late one costs no session.
    fn touch_interval(&self) -> Duration {
        self.service.settings.connections.loss_grace / 3
    }

    async fn afterwards(&self, session: SessionId) {
        let engine = &self.service.engine;
        if self.service.settings.connections.no_clear_on_disconnect {
            while engine.session_has_holds(session) && !engine.is_draining() {
                tokio::time::sleep(self.touch_interval()).await;
                self.touch(session).await;
            }
        }
        // A process that ends takes no holds along: their clients have the grace to come back.
        while !engine.is_draining() {
            match engine.close_session(session).await {
                Ok(()) | Err(Fault::Refused(_) | Fault::Member(_)) => return,
                Err(Fault::Engine(_)) => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}
