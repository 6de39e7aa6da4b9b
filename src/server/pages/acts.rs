//! What is done in the console by hand: the page that asks, and the act itself, after which the browser is sent on.

use super::answer::{html_page, no_page, with_context};
use super::form;
use super::freezes;
use super::login::{see_other, stranger};
use super::state::Pages;
use super::visitor::{Visitor, visitor};
use crate::access::{AddressPool, Identity};
use crate::domain::view::{HoldView, LockView, SessionView, WaiterView};
use crate::domain::{Freeze, FreezeOrder, Metadata, Name, Refusal, Timestamp, Token};
use crate::engine::Fault;
use crate::http::address_limits::take_place;
use crate::http::administration::{self, force_release};
use crate::http::auth::{caller, may_administer, may_operate, may_take};
use crate::http::by_hand::{self, Actor};
use crate::http::{AppState, Code, Failure};
use crate::status::acts::{self, Kind, LEASES_SECONDS, Question, Target};
use crate::status::freezes::{Under, on_freeze, on_thaw};
use crate::status::{Asked, Context};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

const REASON_BYTES_MAX: usize = 256;

/// What is acted on, as it is now.
enum Found {
    Hold(LockView, HoldView),
    Waiter(Name, WaiterView),
    Session(SessionView),
    Lock(Name),
    /// What is to be frozen, and what is held of it.
    Unfrozen(FreezeOrder, Under),
    Frozen(Name, Freeze, Timestamp),
}

/// `GET`: asks for a confirmation.
pub async fn ask(kind: Kind, pages: Pages, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let visitor = match visitor(&pages, &head, None).await {
        Ok(visitor) => visitor,
        Err(failure) => return stranger(&pages, &head, &failure),
    };
    let asked = Asked::of(head.uri.query());
    let target = Target::of(asked);
    let reason = asked.text("reason");
    match find(&pages.app, &head, &visitor.identity, kind, &target).await {
        Ok(found) => {
            question(&pages, &head, &visitor, StatusCode::OK, Asking { kind, target, found, reason, refused: None })
        }
        Err(failure) => no_page(&pages, &head, &failure, Some(&visitor), None),
    }
}

/// `POST`: acts.
pub async fn act(kind: Kind, pages: Pages, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let visitor = match visitor(&pages, &head, None).await {
        Ok(visitor) => visitor,
        Err(failure) => return stranger(&pages, &head, &failure),
    };
    let form = match form::read(&pages, &head, body, &visitor.whom()).await {
        Ok(form) => form,
        Err(failure) => return no_page(&pages, &head, &failure, Some(&visitor), None),
    };
    let target = Target::of(form.asked());
    let found = match find(&pages.app, &head, &visitor.identity, kind, &target).await {
        Ok(found) => found,
        Err(failure) => return no_page(&pages, &head, &failure, Some(&visitor), None),
    };
    let reason = form.asked().text("reason").trim().to_owned();
    if !(1..=REASON_BYTES_MAX).contains(&reason.len()) {
        let refused = Some(format!("a reason is needed, of 1 to {REASON_BYTES_MAX} bytes"));
        let asking = Asking { kind, target, found, reason, refused };
        return question(&pages, &head, &visitor, StatusCode::BAD_REQUEST, asking);
    }
    let by = administration::by(&visitor.identity, &head);
    let (caller, is_admin) = (caller(&visitor.identity, &head), visitor.identity.is_admin());
    let actor = Actor { by, caller, is_admin, reason };
    match carry_out(&pages.app, kind, &found, actor, form.asked()).await {
        Ok(said) => see_other(&target.back(kind).with("note", pages.logins.signed(&said)).plain()),
        Err(failure) => no_page(&pages, &head, &failure, Some(&visitor), None),
    }
}

/// Looks up what is acted on. Refuses whom the right is missing, before anything of it is told.
async fn find(app: &AppState, head: &Parts, who: &Identity, kind: Kind, target: &Target) -> Result<Found, Failure> {
    let name = Name::from(&*target.name);
    match kind {
        Kind::ForceRelease => {
            may_administer(who, "force the release of", &name)?;
            let (lock, hold) = hold(app, &name, target).await?;
            check_rights(hold.names(), |name| who.may_administer(name))?;
            Ok(Found::Hold(lock, hold))
        }
        Kind::GiveBack => {
            may_take(who, &name)?;
            let (lock, hold) = hold(app, &name, target).await?;
            if !acts::is_taken_by(&hold, who) {
                return Err(Failure::new(Code::NotOwner, "this hold was not taken in the console by this credential"));
            }
            check_rights(hold.names(), |name| who.may_take(name))?;
            Ok(Found::Hold(lock, hold))
        }
        Kind::DropWaiter => {
            may_administer(who, "drop a waiter of", &name)?;
            let waiter = waiter(app, &name, target).await?;
            let names = waiter.terms.iter().flat_map(|terms| &terms.names);
            check_rights(names.map(|(name, _)| name), |name| who.may_administer(name))?;
            Ok(Found::Waiter(name, waiter))
        }
        Kind::EndSession => {
            may_operate(who, "end sessions of others")?;
            session(app, target).await.map(Found::Session)
        }
        Kind::Take => {
            may_take(who, &name)?;
            app.engine.limits().check_name(&name).map_err(|refusal| Failure::of(refusal.into()))?;
            Ok(Found::Lock(name))
        }
        Kind::Freeze => {
            let order = freezes::order(&app.engine.limits(), who, target)?;
            // It may take a pass over all locks.
            let _place = take_place(&head.extensions, AddressPool::Listings)?;
            let under = freezes::under(app, &order).await?;
            Ok(Found::Unfrozen(order, under))
        }
        Kind::Thaw => {
            let (freeze, now) = freezes::frozen(app, who, &name).await?;
            Ok(Found::Frozen(name, freeze, now))
        }
    }
}

/// A hold, or a wait, of several names ends under all of them. Those that somebody has no right to are not named either.
fn check_rights<'a>(mut names: impl Iterator<Item = &'a Name>, may: impl Fn(&Name) -> bool) -> Result<(), Failure> {
    let detail = "this ends under all its names, and this credential lacks the right to some of them";
    if names.all(may) { Ok(()) } else { Err(Failure::new(Code::Forbidden, detail)) }
}

async fn hold(app: &AppState, name: &Name, target: &Target) -> Result<(LockView, HoldView), Failure> {
    let (lock, _) = app.engine.lock(name).await.map_err(Failure::of)?;
    let token = target.token.parse().ok().map(Token);
    let mut lock = lock.ok_or_else(|| hold_ended(false))?;
    lock.frozen = app.engine.local_freeze_of(name);
    let hold = lock.holds.iter().find(|hold| Some(hold.token) == token).cloned();
    hold.ok_or_else(|| hold_ended(!lock.holds.is_empty())).map(|hold| (lock, hold))
}

/// The hold of an older page. Who has the lock now is not the one that was meant.
fn hold_ended(others_hold: bool) -> Failure {
    let now = if others_hold { "another hold of this lock goes on" } else { "nobody holds this lock now" };
    let detail = format!("nothing was done: the hold under this token has ended meanwhile, and {now}");
    Failure::new(Code::NoSuchLock, detail).titled("This hold has ended")
}

/// The same where it has ended between the look at it and the act.
fn or_ended(fault: Fault) -> Failure {
    match fault {
        Fault::Refused(Refusal::NoSuchLock) => hold_ended(false),
        Fault::Refused(Refusal::WrongKey) => hold_ended(true),
        other => Failure::of(other),
    }
}

async fn waiter(app: &AppState, name: &Name, target: &Target) -> Result<WaiterView, Failure> {
    let (lock, _) = app.engine.lock_with_queue(name).await.map_err(Failure::of)?;
    let mut queue = lock.and_then(|lock| lock.queue).unwrap_or_default().into_iter();
    let found = queue.find(|waiter| waiter.key.handle() == target.waiter);
    found.ok_or_else(|| gone(Code::NotWaiting.into()))
}

/// Whoever does not wait any more has the lock, or gave up.
fn gone(failure: Failure) -> Failure {
    match failure.code {
        Code::NotWaiting => {
            Failure::new(Code::NotWaiting, "this waiter has left the queue meanwhile: nothing was done")
        }
        _ => failure,
    }
}

async fn session(app: &AppState, target: &Target) -> Result<SessionView, Failure> {
    let mut found = app.engine.sessions_with_handle(target.handle.clone()).await.map_err(Failure::of)?;
    match (found.pop(), found.is_empty()) {
        (Some(session), true) => Ok(session),
        (Some(_), false) => Err(Failure::new(Code::Internal, "two sessions have this handle, so neither is ended")),
        (None, _) => Err(Failure::new(Code::NoSuchSession, "this session has ended meanwhile")),
    }
}

/// Says what was done.
async fn carry_out(
    app: &AppState,
    kind: Kind,
    found: &Found,
    actor: Actor,
    asked: Asked<'_>,
) -> Result<String, Failure> {
    match found {
        Found::Hold(lock, hold) if kind == Kind::GiveBack => {
            let released = by_hand::give_back(app, actor, &lock.name, hold).await?.map_err(or_ended)?;
            Ok(format!("You gave the lock back. {}", next(released.waiter_granted)))
        }
        Found::Hold(lock, hold) => {
            let released = force_release(app, actor.by, &lock.name, hold, &actor.reason).await?;
            let released = released.map_err(or_ended)?;
            Ok(format!("The hold under token {} was ended. {}", hold.token.0, next(released.waiter_granted)))
        }
        Found::Waiter(name, waiter) => {
            let granted = by_hand::drop_waiter(app, actor, name, waiter).await?;
            Ok(match granted.map_err(|fault| gone(Failure::of(fault)))? {
                None => "The waiter was dropped.".to_owned(),
                Some(token) => {
                    format!("It was granted the lock meanwhile: that hold, under token {}, was ended.", token.0)
                }
            })
        }
        Found::Session(session) => {
            by_hand::end_session(app, actor, session).await?.map_err(Failure::of)?;
            Ok("The session was ended, with all that it held and waited for.".to_owned())
        }
        Found::Lock(name) => {
            let seconds = asked.number("lease").filter(|lease| LEASES_SECONDS.contains(lease));
            let seconds =
                seconds.ok_or_else(|| Failure::field("lease", "lease must be one of those that the page offers"))?;
            let metadata: Metadata =
                [(acts::BY_HAND, &*actor.by.who), ("reason", &*actor.reason)].into_iter().collect();
            let token = by_hand::take(app, actor, name, seconds * 1_000, metadata).await?.map_err(Failure::of)?;
            Ok(format!("You hold the lock now, under token {}.", token.0))
        }
        Found::Unfrozen(order, _) => freezes::freeze(app, actor, order).await,
        Found::Frozen(name, ..) => freezes::thaw(app, actor, name).await,
    }
}

const fn next(waiter_granted: bool) -> &'static str {
    if waiter_granted { "A waiter holds the lock now." } else { "Nobody else waited who could be granted it." }
}

/// What a page asks about.
struct Asking {
    kind: Kind,
    target: Target,
    found: Found,
    reason: String,
    refused: Option<String>,
}

fn question(
    pages: &Pages,
    head: &Parts,
    visitor: &Visitor,
    status: StatusCode,
    Asking { kind, target, found, reason, refused }: Asking,
) -> Response {
    let html = with_context(pages, head, Some(visitor), &visitor.whom(), |context| {
        let what = what_happens(kind, &found, context);
        acts::page(&Question { kind, target, what, reason, refused }, context)
    });
    html_page(status, html)
}

fn what_happens(kind: Kind, found: &Found, context: &Context<'_>) -> crate::status::Html {
    match found {
        Found::Hold(lock, hold) if kind == Kind::GiveBack => acts::on_give_back(lock, hold),
        Found::Hold(lock, hold) => acts::on_force(lock, hold, context),
        Found::Waiter(name, waiter) => acts::on_drop(name, waiter, context),
        Found::Session(session) => acts::on_end(session),
        Found::Lock(name) => acts::on_take(name),
        Found::Unfrozen(order, under) => on_freeze(order, under, context),
        Found::Frozen(target, freeze, now) => on_thaw(target, freeze, *now, context),
    }
}
