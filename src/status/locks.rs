//! The tables of locks on the status page: contended ones first.

use super::html::Html;
use super::human::{Count, Grouped, Span};
use super::view::View;
use crate::domain::view::{HoldView, LockView, Mode};
use crate::domain::{Dialect, Terms, Timestamp};
use crate::engine::LockPage;
use std::time::Duration;

/// The titles of the dialects.
pub type Titles<'a> = &'a dyn Fn(Dialect) -> &'static str;

/// The holds shown of one lock; a semaphore may have thousands.
const HOLDS_SHOWN: usize = 8;

/// A lease that ends this soon is shown as such.
const SOON: Duration = Duration::from_secs(10);

pub fn tables(html: &mut Html, view: &View, titles: Titles<'_>) {
    if let Some(contended) = &view.contended {
        html.raw("<h2>Contended");
        if contended.next.is_some() {
            html.raw(" <span class=\"quiet\">the first ").text(contended.locks.len()).raw(" by name</span>");
        }
        html.raw("</h2>\n");
        table(html, contended, titles);
    }
    if !view.others.locks.is_empty() {
        html.raw(if view.contended.is_none() { "<h2>Locks</h2>\n" } else { "<h2>Other locks</h2>\n" });
        table(html, &view.others, titles);
    }
    pages(html, view);
}

fn pages(html: &mut Html, view: &View) {
    if view.others.next.is_none() && view.query.after.is_none() {
        return;
    }
    html.raw("<p class=\"pages\">");
    if view.query.after.is_some() {
        html.raw("<a href=\"/status?prefix=").url_part(&view.query.prefix).raw("\">First page</a> ");
    }
    if let Some(next) = &view.others.next {
        html.raw("<a rel=\"next\" href=\"/status?prefix=").url_part(&view.query.prefix);
        html.raw("&amp;after=").url_part(next).raw("\">Next page</a>");
    }
    html.raw("</p>\n");
}

fn table(html: &mut Html, page: &LockPage, titles: Titles<'_>) {
    html.raw("<div class=\"frame\"><table class=\"rows locks\"><thead><tr><th>Lock</th><th>Held by</th>");
    html.raw("<th class=\"number\">Held for</th><th class=\"number\">Ends in</th>");
    html.raw("<th class=\"number\">Token</th><th class=\"number\">Waiting</th></tr></thead><tbody>\n");
    page.locks.iter().for_each(|lock| rows(html, lock, page.now, titles));
    html.raw("</tbody></table></div>\n");
}

/// One row for each hold; the first names the lock.
fn rows(html: &mut Html, lock: &LockView, now: Timestamp, titles: Titles<'_>) {
    let class = if lock.waiters > 0 { "busy" } else { "" };
    html.raw("<tr class=\"").raw(class).raw("\"><td>");
    html.raw("<bdi class=\"name\">").text(if lock.name.is_empty() { "(empty name)" } else { &*lock.name });
    html.raw("</bdi>");
    if lock.mode() == Mode::Shared && !lock.holds.is_empty() {
        html.raw("<span class=\"via\">").text(Grouped(lock.holds.len() as u64)).raw(" share it</span>");
    } else if lock.size > 1 && lock.mode() == Mode::Counted {
        html.raw("<span class=\"via\">").text(lock.holds.len()).raw(" of ");
        html.text(Grouped(lock.size.into())).raw(" held</span>");
    }
    html.raw("</td>");
    match lock.holds.first() {
        Some(first) => hold(html, first, now, titles),
        None => {
            html.raw("<td class=\"quiet\">nobody at this moment");
            if let Some(until) = lock.delayed_until {
                html.raw(", delayed for ").text(Span(until.since(now)));
            }
            html.raw("</td><td></td><td></td><td></td>");
        }
    }
    html.raw("<td class=\"number\" data-label=\"Waiting\">");
    if lock.waiters > 0 {
        html.raw("<span class=\"queue\">").text(Grouped(lock.waiters.into())).raw("</span>");
    }
    html.raw("</td></tr>\n");
    for other in lock.holds.iter().take(HOLDS_SHOWN).skip(1) {
        html.raw("<tr class=\"same ").raw(class).raw("\"><td></td>");
        hold(html, other, now, titles);
        html.raw("<td></td></tr>\n");
    }
    if lock.holds.len() > HOLDS_SHOWN {
        html.raw("<tr class=\"same ").raw(class).raw("\"><td></td><td class=\"quiet\" colspan=\"5\">and ");
        html.text(Count((lock.holds.len() - HOLDS_SHOWN) as u64, "more hold")).raw("</td></tr>\n");
    }
}

/// What a hold is beyond one place in one lock.
fn terms(html: &mut Html, terms: &Terms) {
    if let Some(value) = &terms.value {
        html.raw("leads as <bdi>").text(value).raw("</bdi>, ");
    }
    if terms.weight != 1 {
        html.raw("weight ").text(terms.weight).raw(", ");
    }
    if terms.names.len() > 1 {
        html.raw("one of ").text(terms.names.len()).raw(" names, ");
    }
}

fn hold(html: &mut Html, hold: &HoldView, now: Timestamp, titles: Titles<'_>) {
    html.raw("<td>");
    if !hold.metadata.is_empty() {
        html.raw("<dl class=\"facts\">");
        for (key, value) in hold.metadata.iter() {
            html.raw("<div><dt><bdi>").text(key).raw("</bdi></dt><dd><bdi>").text(value).raw("</bdi></dd></div>");
        }
        html.raw("</dl>");
    }
    html.raw("<span class=\"via\">");
    hold.terms.iter().for_each(|shown| terms(html, shown));
    if let Some(label) = hold.shown_label() {
        html.raw("owner <bdi>").text(label).raw("</bdi>, ");
    }
    if let Some(session) = &hold.session {
        html.raw("session <span class=\"handle\">").text(session.handle()).raw("</span>, ");
    }
    html.raw("via ").raw(titles(hold.dialect)).raw("</span></td>");
    html.raw("<td class=\"number\" data-label=\"Held for\">").text(Span(now.since(hold.since))).raw("</td>");
    html.raw("<td class=\"number\" data-label=\"Ends in\">");
    match hold.ends.map(|end| end.since(now)) {
        Some(left) if left < SOON => html.raw("<span class=\"soon\">").text(Span(left)).raw("</span>"),
        Some(left) => html.text(Span(left)),
        None => html.raw("<span class=\"quiet\">when released</span>"),
    };
    // Its session ends sooner than its lease.
    if hold.ends != hold.deadline {
        html.raw(" <span class=\"quiet\">with its session</span>");
    }
    html.raw("</td><td class=\"number\" data-label=\"Token\">").text(hold.token.0).raw("</td>");
}
