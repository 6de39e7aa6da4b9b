//! What is done by hand in the console besides a forced release: each act is recorded, carried out to its end, and told in
//! the log. A client that takes a lock for itself, and gives it back, does no more than it may do without the console: that
//! is no act of an operator, and leaves no line.

use super::administration::{carry_out, carry_out_unrecorded};
use super::app::AppState;
use super::failure::Failure;
use crate::audit::{Act, Action, By};
use crate::domain::view::{HoldView, SessionView, WaiterView};
use crate::domain::{Acquire, Caller, Command, Dialect, Force, Metadata, Name, Proof, Token};
use crate::engine::{Engine, Fault, Released};

/// Who acts, and why.
pub struct Actor {
    pub by: By,
    pub caller: Caller,
    pub is_admin: bool,
    pub reason: String,
}

impl Actor {
    fn act(&self, action: Action) -> Act {
        Act::new(action).because(&*self.reason)
    }
}

/// What became of an act: its outcome, unless it could not be recorded and so was not begun.
type Recorded<T> = Result<Result<T, Fault>, Failure>;

/// Ends the session of another client, with all that it holds and waits for.
pub async fn end_session(app: &AppState, actor: Actor, session: &SessionView) -> Recorded<()> {
    let (engine, id, handle, holds) = (app.engine.clone(), session.session, session.session.handle(), session.holds);
    let act = actor.act(Action::EndSession).on("session", &*handle);
    let Actor { by, reason, .. } = actor;
    let actor = by.who.clone();
    let work = async move {
        engine.end_session(id, Force::new(&actor, &reason)).await?;
        let (actor, session) = (&*actor, handle);
        tracing::warn!(actor, session, holds, ?reason, "{actor} ended the session {session}: {reason:?}");
        Ok(())
    };
    carry_out(app, by, act, None, work).await
}

/// Takes another client's waiter out of the queue. If it has been granted the lock meanwhile, that hold ends, whose token
/// is given back.
pub async fn drop_waiter(app: &AppState, actor: Actor, name: &Name, waiter: &WaiterView) -> Recorded<Option<Token>> {
    let first = waiter.terms.as_ref().and_then(|terms| terms.names.first()).map(|(first, _)| first.clone());
    let (engine, lock, key) = (app.engine.clone(), first.unwrap_or(name.clone()), waiter.key);
    let act = actor.act(Action::DropWaiter).on("lock", &*lock).on("waiter", key.handle());
    let Actor { by, reason, .. } = actor;
    let actor = by.who.clone();
    let work = async move {
        let granted = engine.drop_waiter(lock.clone(), key).await?;
        let (actor, lock, waiter, token) = (&*actor, &*lock, key.handle(), granted.map(|token| token.0));
        let what = if granted.is_some() { "ended the new hold of a waiter" } else { "dropped a waiter" };
        tracing::warn!(actor, ?lock, waiter, token, ?reason, "{actor} {what} of {lock:?}: {reason:?}");
        Ok(granted)
    };
    carry_out(app, by, act, None, work).await
}

/// Takes a lock for the actor, without a session and for so many milliseconds, if it is free.
pub async fn take(app: &AppState, actor: Actor, name: &Name, lease_ms: u64, metadata: Metadata) -> Recorded<Token> {
    let (engine, lock) = (app.engine.clone(), name.clone());
    let act = actor.act(Action::Take).on("lock", &**name).on("lease_ms", lease_ms);
    let Actor { by, caller, is_admin, reason } = actor;
    let actor = by.who.clone();
    let asked = Acquire::new(name.clone(), Engine::new_key(), Dialect::LdlmRest);
    let asked = Box::new(Acquire { lease_ms: Some(lease_ms), metadata, caller, ..asked });
    let command = Command::Acquire(asked.clone());
    let work = async move {
        let granted = engine.acquire(asked).await?;
        // Whoever took it finds it in the console.
        granted.delivery.delivered();
        if is_admin {
            let (actor, lock, token) = (&*actor, &*lock, granted.token.0);
            tracing::info!(actor, ?lock, token, lease_ms, ?reason, "{actor} took {lock:?} by hand: {reason:?}");
        }
        Ok(granted.token)
    };
    if is_admin { carry_out(app, by, act, Some(command), work).await } else { Ok(carry_out_unrecorded(work).await) }
}

/// Gives back a lock that was taken by hand.
pub async fn give_back(app: &AppState, actor: Actor, name: &Name, hold: &HoldView) -> Recorded<Released> {
    let (engine, lock, key, token) = (app.engine.clone(), name.clone(), hold.key, hold.token.0);
    let act = actor.act(Action::GiveBack).on("lock", &**name).on("token", token);
    let Actor { by, is_admin, reason, .. } = actor;
    let actor = by.who.clone();
    let command = Command::Release { name: name.clone(), session: None, proof: Proof::Key(key) };
    let work = async move {
        let released = engine.release(lock.clone(), None, Proof::Key(key)).await?;
        if is_admin {
            let (actor, lock) = (&*actor, &*lock);
            tracing::info!(actor, ?lock, token, ?reason, "{actor} gave {lock:?} back by hand: {reason:?}");
        }
        Ok(released)
    };
    if is_admin { carry_out(app, by, act, Some(command), work).await } else { Ok(carry_out_unrecorded(work).await) }
}
