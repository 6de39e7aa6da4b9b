//! The page of one lock: its holders, its queue, and who is in the way of whom.

use super::acts::{self, Kind, Target};
use super::asked::Href;
use super::frame::{Context, Page, STREAM, Section};
use super::html::Html;
use super::human::{Count, Grouped, Span};
use super::names::link;
use super::owner;
use super::table::{Column, cell, empty, facts, figure, number, table, text};
use super::{freezes, history};
use crate::access::Identity;
use crate::domain::view::{Blocking, HoldView, LockView, Mode, WaiterView};
use crate::domain::{FrozenBy, Name, PastHold, SHARED, Timestamp};
use crate::engine::{Engine, Fault};

pub use super::names::LOCK as PATH;

/// So many rows of each kind are shown.
const ROWS_SHOWN: usize = 100;
const STEPS_SHOWN: usize = 30;

/// What the page shows.
pub struct OneLock {
    pub name: Name,
    /// `None` where nobody has it or waits for it.
    pub lock: Option<LockView>,
    /// The freeze that keeps it from being granted.
    pub frozen: Option<Box<FrozenBy>>,
    pub blocking: Vec<Blocking>,
    /// `None` where the history is not kept yet, because an older node takes part.
    pub past: Option<Vec<PastHold>>,
    pub now: Timestamp,
}

/// A lock that this viewer may see, without names that they may not see.
pub async fn gather(engine: &Engine, viewer: &Identity, name: &Name) -> Result<OneLock, Fault> {
    let (lock, now) = engine.lock_with_queue(name).await?;
    let mut blocking = engine.local_blocking(name, STEPS_SHOWN);
    blocking.retain(|step| viewer.may_read(&step.name));
    let past = engine.history(name, history::SHOWN).await.ok();
    let frozen = engine.local_freeze_of(name);
    Ok(OneLock { name: name.clone(), lock, frozen, blocking, past, now })
}

pub fn page(view: &OneLock, context: &Context<'_>) -> String {
    let mut body = Html::default();
    view.frozen.iter().for_each(|by| _ = body.append(freezes::notice(by, context)));
    match &view.lock {
        Some(lock) => {
            of_lock(&mut body, lock, view.now);
            body.append(freezes::way_to_freeze(&view.name, context));
            holders(&mut body, lock, view.now, context);
            queue(&mut body, lock, view, context);
            in_the_way(&mut body, lock, view, context);
        }
        None => {
            let mut next = Html::default();
            next.raw("<p>Nobody holds this lock or waits for it. <a href=\"/\">Show all locks</a></p>");
            if context.viewer.is_some_and(|viewer| viewer.may_take(&view.name)) {
                next.append(acts::link(Kind::Take, &Target::lock(&view.name), "Take it by hand"));
            }
            next.append(freezes::way_to_freeze(&view.name, context));
            empty(&mut body, "Free", next);
        }
    }
    let shows_actor = context.viewer.is_some_and(|viewer| viewer.may_administer(&view.name));
    view.past.iter().for_each(|past| history::section(&mut body, past, view.now, shows_actor, context));
    let mut heading = Html::default();
    heading.raw("<span class=\"name\">").text(&view.name).raw("</span>");
    let page = Page {
        title: view.name.to_string(),
        is_below: true,
        heading,
        live: Some(Href::to(STREAM).with("name", &view.name)),
        ..Page::of(Section::Locks, body)
    };
    page.finish(context)
}

fn of_lock(html: &mut Html, lock: &LockView, now: Timestamp) {
    let mut state = Html::default();
    match (lock.holds.is_empty(), lock.waiters) {
        (true, _) => state.raw("<span class=\"mark\">free</span>"),
        (false, 0) => state.raw("<span class=\"mark good\">held</span>"),
        (false, _) => state.raw("<span class=\"mark busy\">contended</span>"),
    };
    let mut mode = Html::of(lock.mode().as_str());
    if lock.mode() == Mode::Counted {
        mode.raw(", ").text(lock.holds.len()).raw(" of ").text(Grouped(lock.size.into())).raw(" holds");
    }
    let mut rows = vec![
        ("State", state),
        ("Mode", mode),
        ("Holders", Html::of(Grouped(lock.holds.len() as u64))),
        ("Waiting", Html::of(Grouped(lock.waiters.into()))),
    ];
    if let Some(until) = lock.delayed_until {
        rows.push(("Granted again in", Html::of(Span(until.since(now)))));
    }
    facts(html, rows);
}

fn holders(html: &mut Html, lock: &LockView, now: Timestamp, context: &Context<'_>) {
    const COLUMNS: [Column; 4] = [text("Holder"), number("Held for"), number("Ends in"), number("Fencing token")];
    html.raw("<h2>Holders</h2>\n");
    if lock.holds.is_empty() {
        html.raw("<p class=\"quiet\">Nobody holds it at this moment.</p>\n");
        return;
    }
    let mut rows = Html::default();
    lock.holds.iter().take(ROWS_SHOWN).for_each(|hold| holder(&mut rows, &lock.name, hold, now, context));
    table(html, "Holders", "wide-first", &COLUMNS, rows);
    more(html, lock.holds.len(), "more hold");
}

fn holder(html: &mut Html, name: &Name, hold: &HoldView, now: Timestamp, context: &Context<'_>) {
    html.raw("<tr><td>").append(owner::of_hold(context, hold)).append(acts_on(name, hold, context)).raw("</td>");
    figure(html, "Held for", Html::of(Span(now.since(hold.since))));
    figure(html, "Ends in", owner::end(hold, now));
    figure(html, "Fencing token", Html::of(hold.token.0));
    html.raw("</tr>\n");
}

/// What this viewer can do to a hold.
fn acts_on(name: &Name, hold: &HoldView, context: &Context<'_>) -> Html {
    let mut html = Html::default();
    let Some(viewer) = context.viewer else { return html };
    if viewer.may_take(name) && acts::is_taken_by(hold, viewer) {
        html.append(acts::link(Kind::GiveBack, &Target::hold(name, hold.token), "Give back"));
    }
    if viewer.may_administer(name) {
        html.append(acts::link(Kind::ForceRelease, &Target::hold(name, hold.token), "Force the release"));
    }
    html
}

fn queue(html: &mut Html, lock: &LockView, view: &OneLock, context: &Context<'_>) {
    const COLUMNS: [Column; 5] =
        [number("Place"), text("Waiter"), text("Asks for"), number("Waits for"), number("Gives up in")];
    let waiters = lock.queue.as_deref().unwrap_or_default();
    html.raw("<h2>Queue</h2>\n");
    if waiters.is_empty() {
        html.raw("<p class=\"quiet\">Nobody waits for it.</p>\n");
        return;
    }
    view.frozen.iter().for_each(|by| _ = html.append(freezes::queue_notice(by)));
    let mut rows = Html::default();
    waiters.iter().take(ROWS_SHOWN).for_each(|waiter| waiter_row(&mut rows, &lock.name, waiter, view.now, context));
    table(html, "Queue", "queued", &COLUMNS, rows);
    more(html, waiters.len(), "more waiter");
}

fn waiter_row(html: &mut Html, name: &Name, waiter: &WaiterView, now: Timestamp, context: &Context<'_>) {
    html.raw("<tr>");
    let place = match waiter.orphaned {
        true => Html::of("lost"),
        false => Html::of(Grouped(u64::from(waiter.position) + 1)),
    };
    figure(html, "Place", place);
    html.raw("<td>").append(owner::of_waiter(context, waiter));
    if context.viewer.is_some_and(|viewer| viewer.may_administer(name)) {
        html.append(acts::link(Kind::DropWaiter, &Target::waiter(name, waiter), "Drop"));
    }
    html.raw("</td>");
    cell(html, "Asks for", Html::of(asks_for(waiter)));
    figure(html, "Waits for", Html::of(Span(now.since(waiter.since))));
    figure(html, "Gives up in", Html::of(Span(waiter.deadline.since(now))));
    html.raw("</tr>\n");
}

fn asks_for(waiter: &WaiterView) -> String {
    match waiter.size {
        _ if waiter.upgrades => "exclusive use, sharing it now".to_owned(),
        SHARED => "shared".to_owned(),
        1 => "exclusive".to_owned(),
        size => format!("one of {size}"),
    }
}

fn more(html: &mut Html, count: usize, noun: &'static str) {
    if count > ROWS_SHOWN {
        html.raw("<p class=\"quiet\">and ").text(Count((count - ROWS_SHOWN) as u64, noun)).raw("</p>\n");
    }
}

/// Why nobody moves: what those who hold this lock wait for themselves.
fn in_the_way(html: &mut Html, lock: &LockView, view: &OneLock, context: &Context<'_>) {
    if lock.waiters == 0 && view.blocking.is_empty() {
        return;
    }
    html.raw("<h2>Who is in the way of whom</h2>\n<ul class=\"steps\">\n");
    if lock.waiters > 0 {
        html.raw("<li>").text(Count(lock.waiters.into(), "waiter")).raw(" of this lock: until ");
        html.raw(if lock.holds.len() == 1 { "its holder ends" } else { "its holders end" });
        html.raw(if view.frozen.is_some() { " and the freeze, in turn.</li>\n" } else { ", in turn.</li>\n" });
    }
    for step in &view.blocking {
        html.raw("<li>").append(owner::named(context, &step.waiter)).raw(" waits for ").append(link(&step.name));
        html.raw(" for ").text(Span(view.now.since(step.since))).raw(", held by ");
        html.append(owner::named(context, &step.by)).raw(" under token ").text(step.token.0).raw(".</li>\n");
    }
    html.raw("</ul>\n");
    if view.blocking.is_empty() {
        html.raw("<p class=\"quiet\">Its holders wait for nothing else that you may see.</p>\n");
    }
}
