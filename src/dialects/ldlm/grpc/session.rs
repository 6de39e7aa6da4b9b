//! Sessions that live as long as a connection, which is the owner of a lock for LDLM.
//!
//! They are ordinary sessions. Their idle time is the grace that holds are given when a whole process dies; while a
//! connection lives, its node touches them. When the connection ends before the process does, so does the session.

use crate::config::SessionsConfig;
use crate::domain::{Caller, Refusal, SessionId};
use crate::engine::{EngineError, Fault};
use crate::http::AppState;
use crate::http::connection::Connection;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long after a failed attempt a session is closed again.
const CLOSE_RETRY: Duration = Duration::from_millis(500);

/// All of them, by their connections.
pub struct ConnectionSessions {
    pub app: AppState,
    pub config: SessionsConfig,
    by_connection: Arc<ByConnection>,
}

/// The sessions of the open connections, by connection id.
#[derive(Default)]
struct ByConnection(Mutex<HashMap<u64, Arc<ConnectionSession>>>);

/// The session of one connection.
#[derive(Default)]
struct ConnectionSession {
    /// `None` while it is being opened.
    opened: watch::Sender<Option<Result<SessionId, Fault>>>,
    /// Becomes true when the connection has ended.
    ended: watch::Sender<bool>,
}

impl ConnectionSession {
    /// Another may be opened in its place.
    fn has_failed(&self) -> bool {
        matches!(*self.opened.borrow(), Some(Err(_)))
    }

    async fn opened(&self) -> Result<SessionId, Fault> {
        let mut opened = self.opened.subscribe();
        let opened = opened.wait_for(Option::is_some).await.ok().and_then(|opened| opened.clone());
        opened.unwrap_or_else(|| Err(EngineError::ShuttingDown.into()))
    }
}

impl ConnectionSessions {
    pub fn new(app: &AppState, config: &SessionsConfig) -> ConnectionSessions {
        ConnectionSessions { app: AppState::clone(app), config: config.clone(), by_connection: Arc::default() }
    }

    /// The session of this connection, opened now, as this caller's, if there is none yet.
    pub async fn session_of(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        caller: Caller,
    ) -> Result<SessionId, Fault> {
        // If there is none, the connection has closed meanwhile: no client waits for the answer.
        let (session, is_new) = self.by_connection.get_or_add(connection).ok_or(Refusal::WaitCancelled)?;
        if is_new {
            let (sessions, connection) = (Arc::clone(self), Arc::clone(connection));
            tokio::spawn(Keeper { sessions, connection, session: Arc::clone(&session) }.keep(caller));
        }
        session.opened().await
    }
}

impl ByConnection {
    /// The session of this connection, and whether it is new; `None` if the connection has closed.
    fn get_or_add(self: &Arc<Self>, connection: &Connection) -> Option<(Arc<ConnectionSession>, bool)> {
        let mut sessions = self.0.lock();
        match sessions.get(&connection.id()) {
            Some(session) if !session.has_failed() => return Some((Arc::clone(session), false)),
            // The hook of the session that failed ends the next one, too: a connection has one hook at most.
            Some(_) => {}
            None if self.end_with(connection) => connection.keep_while_idle(),
            None => return None,
        }
        let session = Arc::new(ConnectionSession::default());
        sessions.insert(connection.id(), Arc::clone(&session));
        Some((session, true))
    }

    /// Ends whatever session the connection has when it closes; `false` if it has closed already.
    fn end_with(self: &Arc<Self>, connection: &Connection) -> bool {
        let (all, id) = (Arc::clone(self), connection.id());
        connection.on_close(move || {
            let session = all.0.lock().remove(&id);
            session.into_iter().for_each(|session| _ = session.ended.send_replace(true));
        })
    }
}

/// Keeps one session from its opening to its end. A task of its own, so that no request that is dropped halfway leaves
/// a session behind.
struct Keeper {
    sessions: Arc<ConnectionSessions>,
    connection: Arc<Connection>,
    session: Arc<ConnectionSession>,
}

impl Keeper {
    async fn keep(self, caller: Caller) {
        let grace = self.sessions.config.connection_loss_grace;
        let opened = self.sessions.app.engine.open_session_for(grace, None, caller).await;
        self.session.opened.send_replace(Some(opened.clone()));
        if let Ok(session) = opened {
            self.while_connected(session).await;
            self.close(session).await;
        }
    }

    async fn while_connected(&self, session: SessionId) {
        let mut ended = self.session.ended.subscribe();
        let mut readiness = self.sessions.app.readiness.clone();
        loop {
            let leader_lost = tokio::select! {
                _ = ended.wait_for(|ended| *ended) => return,
                Ok(_) = readiness.wait_for(|readiness| readiness.leader_lost) => true,
                () = tokio::time::sleep(self.touch_interval()) => false,
            };
            if leader_lost {
                break;
            }
            self.touch(session).await;
        }
        // The client must connect to a node that knows whether its holds still exist.
        tracing::warn!("no contact with a leader: a connection that carries a session is closed");
        self.connection.end();
        // An error would mean that there is no session any more.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    async fn touch(&self, session: SessionId) {
        if let Err(Fault::Refused(Refusal::SessionUnknown)) = self.sessions.app.engine.touch_session(session).await {
            // Its holds are gone; going on as if nothing had happened would hide that from its client.
            self.connection.end();
        }
    }

    /// Three sightings in a grace: a late one costs no session.
    fn touch_interval(&self) -> Duration {
        self.sessions.config.connection_loss_grace / 3
    }

    async fn close(&self, session: SessionId) {
        let engine = &self.sessions.app.engine;
        if self.sessions.config.no_clear_on_disconnect {
            while engine.session_has_holds(session) && !engine.is_closing() {
                tokio::time::sleep(self.touch_interval()).await;
                self.touch(session).await;
            }
        }
        // A process that stops releases no holds: their clients have the grace to come back.
        while !engine.is_closing() {
            match engine.close_session(session).await {
                Ok(()) | Err(Fault::Refused(_) | Fault::Member(_) | Fault::TooFast(_)) => return,
                Err(Fault::Engine(_)) => tokio::time::sleep(CLOSE_RETRY).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_openings_add_one_close_hook_in_all() {
        let (sessions, connection) = (Arc::new(ByConnection::default()), Connection::default());
        for _ in 0..100 {
            let (session, is_new) = sessions.get_or_add(&connection).expect("the connection is open");
            assert!(is_new, "the one before has failed");
            session.opened.send_replace(Some(Err(EngineError::ShuttingDown.into())));
        }
        assert_eq!(Arc::strong_count(&sessions), 2, "each hook holds the map");
        let (last, _) = sessions.get_or_add(&connection).expect("the connection is open");
        connection.closed();
        assert!(*last.ended.borrow(), "the hook of the first ends the last");
        assert!(sessions.0.lock().is_empty() && Arc::strong_count(&sessions) == 1);
        assert!(sessions.get_or_add(&connection).is_none(), "the connection has closed");
    }
}
