//! The rows of the page of locks: one for each hold, of which the first names the lock.

use crate::domain::Timestamp;
use crate::domain::view::{HoldView, LockView, Mode};
use crate::status::frame::Context;
use crate::status::freezes;
use crate::status::html::Html;
use crate::status::human::{Count, Grouped, Span};
use crate::status::names;
use crate::status::owner;
use crate::status::table::{self, Column, figure, number, text};

/// The holds shown of one lock; a semaphore may have thousands.
const HOLDS_SHOWN: usize = 4;

const COLUMNS: [Column; 6] =
    [text("Lock"), text("Held by"), number("Held for"), number("Ends in"), number("Fencing token"), number("Waiting")];

pub fn table(html: &mut Html, locks: &[LockView], now: Timestamp, context: &Context<'_>) {
    let mut rows = Html::default();
    locks.iter().for_each(|lock| of_lock(&mut rows, lock, now, context));
    table::table(html, "Locks", "locks", &COLUMNS, rows);
}

fn of_lock(html: &mut Html, lock: &LockView, now: Timestamp, context: &Context<'_>) {
    let class = if lock.waiters > 0 { "busy" } else { "" };
    html.raw("<tr class=\"").raw(class).raw("\"><td>").append(names::link(&lock.name));
    use_of(html, lock);
    lock.frozen.iter().for_each(|by| _ = html.append(freezes::mark(by, context)));
    html.raw("</td>");
    match lock.holds.first() {
        Some(first) => of_hold(html, first, now, context),
        None => {
            html.raw("<td><span class=\"quiet\">nobody at this moment");
            if let Some(until) = lock.delayed_until {
                html.raw(", delayed for ").text(Span(until.since(now)));
            }
            html.raw("</span></td><td></td><td></td><td></td>");
        }
    }
    let mut waiting = Html::default();
    if lock.waiters > 0 {
        waiting.raw("<span class=\"queue\">").text(Grouped(lock.waiters.into())).raw("</span>");
    }
    figure(html, "Waiting", waiting);
    html.raw("</tr>\n");
    for other in lock.holds.iter().take(HOLDS_SHOWN).skip(1) {
        html.raw("<tr class=\"same ").raw(class).raw("\"><td></td>");
        of_hold(html, other, now, context);
        html.raw("<td></td></tr>\n");
    }
    if lock.holds.len() > HOLDS_SHOWN {
        html.raw("<tr class=\"same ").raw(class).raw("\"><td></td><td class=\"quiet\" colspan=\"5\">and ");
        html.text(Count((lock.holds.len() - HOLDS_SHOWN) as u64, "more hold")).raw("</td></tr>\n");
    }
}

/// How a lock is held that has room for more than one.
fn use_of(html: &mut Html, lock: &LockView) {
    if lock.mode() == Mode::Shared && !lock.holds.is_empty() {
        html.raw("<span class=\"via\">").text(Grouped(lock.holds.len() as u64)).raw(" share it</span>");
    } else if lock.size > 1 && lock.mode() == Mode::Counted {
        html.raw("<span class=\"via\">").text(lock.holds.len()).raw(" of ");
        html.text(Grouped(lock.size.into())).raw(" held</span>");
    }
}

fn of_hold(html: &mut Html, hold: &HoldView, now: Timestamp, context: &Context<'_>) {
    html.raw("<td>").append(owner::of_hold(context, hold)).raw("</td>");
    figure(html, "Held for", Html::of(Span(now.since(hold.since))));
    figure(html, "Ends in", owner::end(hold, now));
    figure(html, "Fencing token", Html::of(hold.token.0));
}
