//! What an operator does: it is recorded before and after, and carried out to its end, also if whoever asked for it hangs up
//! meanwhile. Every administrative act of every dialect goes through [`carry_out`].

use super::app::AppState;
use super::code::Code;
use super::connection::client;
use super::failure::{Failure, More};
use super::frozen::Frozen;
use crate::access::{Identity, reserved_names};
use crate::audit::{Act, Action, By, Outcome};
use crate::base::request_id;
use crate::domain::view::HoldView;
use crate::domain::{Command, Force, Freeze, FreezeOrder, FrozenBy, Name, Proof};
use crate::engine::{EngineError, Fault, Released};
use axum::http::request::Parts;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

/// Who asks with this credential from this address.
pub fn by_at(identity: &Identity, from: IpAddr) -> By {
    By { who: Arc::clone(&identity.name), role: identity.role.as_str(), from }
}

/// Who asks with this request.
pub fn by(identity: &Identity, head: &Parts) -> By {
    by_at(identity, client(head).ip)
}

/// Records an act, carries it out, and records how it ended; none of that stops when the request is given up.
///
/// What would be refused as it is now, because `command` names nothing that exists or has a value that is not accepted, is
/// not begun, and leaves no line.
///
/// The outer error: the audit log cannot be written and is set to refuse, so nothing was done.
pub async fn carry_out<T: Send + 'static>(
    app: &AppState,
    by: By,
    act: Act,
    command: Option<Command>,
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<Result<T, Fault>, Failure> {
    if let Some(command) = command
        && let Err(fault) = app.engine.check(command).await
    {
        return Ok(Err(fault));
    }
    let app = Arc::clone(app);
    let recorded = request_id::spawn(async move {
        let begun = app.audit.begin(by, act).await.map_err(|_| unrecorded())?;
        let done = work.await;
        app.audit.end(begun, outcome(&done)).await;
        Ok(done)
    });
    recorded.await.unwrap_or_else(|_| Ok(Err(EngineError::OutcomeUnknown.into())))
}

/// Carries out to its end what is no act of an operator.
pub async fn carry_out_unrecorded<T: Send + 'static>(
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    request_id::spawn(work).await.unwrap_or_else(|_| Err(EngineError::OutcomeUnknown.into()))
}

fn unrecorded() -> Failure {
    Failure::new(Code::AuditUnwritten, "the audit log cannot be written, so nothing was done")
        .set_by("audit.on_failure")
}

fn outcome<T>(done: &Result<T, Fault>) -> Outcome {
    match done {
        Ok(_) => Outcome::Done,
        Err(Fault::Engine(EngineError::OutcomeUnknown)) => Outcome::Unknown,
        Err(fault) => Outcome::Refused(Code::from(fault).row().name),
    }
}

/// The freeze whose place this one takes. Refuses to freeze a text as a name that is frozen as a prefix, or the reverse: the
/// table has one freeze of each text, and the one before would end unseen.
///
/// The table itself does not refuse that. Two who freeze the same text in the same moment may both pass; then the later one
/// takes the place of the earlier, and the log has both.
pub async fn replaced(app: &AppState, order: &FreezeOrder) -> Result<Option<FrozenBy>, Failure> {
    let (freezes, now) = app.engine.freezes().await.map_err(Failure::of)?;
    let Some(before) = freezes.get(&order.target, now) else { return Ok(None) };
    let frozen_by = before.frozen_by(&order.target, now);
    if before.covers == order.covers {
        return Ok(Some(frozen_by));
    }
    let frozen = Frozen::from(&frozen_by);
    let by = if before.by.is_empty() { String::new() } else { format!(" (by {:?})", &*before.by) };
    let (text, target, covers) = (frozen.text(), &*order.target, frozen.r#match);
    let detail = format!("{text}{by}; thaw that first, or freeze {target:?} as a {covers} again");
    Err(Failure::new(Code::FrozenOtherwise, detail).with(More { frozen: Some(frozen), ..More::default() }))
}

/// Refuses a freeze beyond the share of its credential. Anonymous callers have none, as of other pools.
fn check_share(app: &AppState, order: &FreezeOrder) -> Result<(), Failure> {
    let is_anonymous = order.by.as_str() == reserved_names::ANONYMOUS;
    match app.engine.local_freezes_share_used_up(order).filter(|_| !is_anonymous) {
        None => Ok(()),
        Some(limit) => {
            let detail = format!("this credential may have at most {limit} freezes, its share of locks.freezes_max");
            Err(Failure::new(Code::ShareFull, detail).with_limit(limit).set_by("quotas.credential_percent"))
        }
    }
}

/// Freezes a target, and tells who did it and why.
///
/// The outer error: nothing was done, as with [`carry_out`], or it is frozen with another match, or beyond a share.
pub async fn freeze(app: &AppState, by: By, order: FreezeOrder) -> Result<Result<Freeze, Fault>, Failure> {
    replaced(app, &order).await?;
    check_share(app, &order)?;
    let (engine, actor, target, reason) =
        (app.engine.clone(), Arc::clone(&by.who), order.target.clone(), order.reason.clone());
    let (covers, holds, ms) = (order.covers.shown(&target), order.holds.as_str(), order.for_ms);
    let act = Act::new(Action::Freeze).on("target", &*target).on("match", covers).on("holds", holds).on("for_ms", ms);
    let (act, command) = (act.because(&*reason), Command::Freeze(Box::new(order.clone())));
    let work = async move {
        let frozen = engine.freeze(order).await;
        let (actor, target, reason) = (&*actor, &*target, &*reason);
        let verb = match &frozen {
            Ok(_) => "froze",
            Err(Fault::Engine(EngineError::OutcomeUnknown)) => "asked, with unknown outcome, to freeze",
            Err(_) => return frozen,
        };
        let what = format!("{actor} {verb} the {covers} {target:?} for {ms} ms ({holds}): {reason:?}");
        tracing::warn!(actor, ?target, covers, holds, ms, ?reason, "{what}");
        frozen
    };
    carry_out(app, by, act, Some(command), work).await
}

/// Ends a freeze, and tells who did it and why.
pub async fn thaw(app: &AppState, by: By, target: &Name, reason: &str) -> Result<Result<Freeze, Fault>, Failure> {
    let (engine, actor, target, reason) = (app.engine.clone(), Arc::clone(&by.who), target.clone(), reason.to_owned());
    let act = Act::new(Action::Thaw).on("target", &*target).because(&*reason);
    let command = Command::Thaw { target: target.clone() };
    let work = async move {
        let thawed = engine.thaw(target.clone()).await;
        let (actor, target) = (&*actor, &*target);
        let verb = match &thawed {
            Ok(_) => "thawed",
            Err(Fault::Engine(EngineError::OutcomeUnknown)) => "asked, with unknown outcome, to thaw",
            Err(_) => return thawed,
        };
        tracing::warn!(actor, ?target, ?reason, "{actor} {verb} {target:?}: {reason:?}");
        thawed
    };
    carry_out(app, by, act, Some(command), work).await
}

/// Ends another client's hold, and tells who did it and why, whatever the dialect. The token names the hold in the log without
/// revealing its key.
pub async fn force_release(
    app: &AppState,
    by: By,
    name: &Name,
    hold: &HoldView,
    reason: &str,
) -> Result<Result<Released, Fault>, Failure> {
    let (engine, actor, lock, reason) = (app.engine.clone(), Arc::clone(&by.who), name.clone(), reason.to_owned());
    let (key, token, names) = (hold.key, hold.token.0, hold.names().map(Name::to_string).collect::<Vec<_>>());
    let act = on_hold(Action::ForceRelease, name, hold).because(&*reason);
    let command = Command::ForceRelease { name: name.clone(), key, force: None };
    let work = async move {
        let released = engine.force_release(lock.clone(), key, Force::new(&actor, &reason)).await;
        let (actor, lock) = (&*actor, &*lock);
        match &released {
            Ok(_) => {
                tracing::warn!(
                    actor,
                    ?lock,
                    ?names,
                    token,
                    ?reason,
                    "{actor} forced the release of {lock:?}: {reason:?}"
                );
            }
            Err(Fault::Engine(EngineError::OutcomeUnknown)) => {
                let what = format!("{actor} asked to force the release of {lock:?}, with unknown outcome: {reason:?}");
                tracing::warn!(actor, ?lock, ?names, token, ?reason, "{what}");
            }
            Err(_) => {}
        }
        released
    };
    carry_out(app, by, act, Some(command), work).await
}

/// Gives another client's hold a lease of so many milliseconds, which may end it soon.
pub async fn force_lease(
    app: &AppState,
    by: By,
    name: &Name,
    hold: &HoldView,
    lease_ms: u64,
) -> Result<Result<(), Fault>, Failure> {
    let (engine, actor, lock) = (app.engine.clone(), Arc::clone(&by.who), name.clone());
    let (key, token) = (hold.key, hold.token.0);
    let act = on_hold(Action::ForceLease, name, hold).on("lease_ms", lease_ms);
    let command = Command::Renew { name: name.clone(), session: None, proof: Proof::Key(key), lease_ms };
    let work = async move {
        engine.renew(lock.clone(), None, Proof::Key(key), lease_ms).await?;
        let (actor, lock) = (&*actor, &*lock);
        tracing::warn!(
            actor,
            ?lock,
            token,
            lease_ms,
            "{actor} forced a lease of {lease_ms} ms on the hold of {lock:?}"
        );
        Ok(())
    };
    carry_out(app, by, act, Some(command), work).await
}

/// The hold is named by its token, which opens nothing, and by all its names if it has several.
fn on_hold(action: Action, name: &Name, hold: &HoldView) -> Act {
    let names: Vec<String> = hold.names().map(Name::to_string).collect();
    let act = Act::new(action).on("lock", &**name).on("token", hold.token.0);
    if names.is_empty() { act } else { act.on("names", names) }
}
