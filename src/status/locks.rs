//! The tables of locks on the status page: contended ones first.

use super::html::Html;
use super::human::{Count, Grouped, Span};
use super::view::{Hold, Lock, View};
use std::time::Duration;

/// A lease that ends this soon is shown as such.
const SOON: Duration = Duration::from_secs(10);

pub fn tables(html: &mut Html, view: &View) {
    if !view.contended.is_empty() {
        html.raw("<h2>Contended");
        if view.more_contended {
            html.raw(" <span class=\"quiet\">the first ").text(view.contended.len()).raw(" by name</span>");
        }
        html.raw("</h2>\n");
        table(html, &view.contended);
    }
    if !view.others.is_empty() {
        html.raw(if view.contended.is_empty() { "<h2>Locks</h2>\n" } else { "<h2>Other locks</h2>\n" });
        table(html, &view.others);
    }
    pages(html, view);
}

fn pages(html: &mut Html, view: &View) {
    if view.next.is_none() && view.query.after.is_none() {
        return;
    }
    html.raw("<p class=\"pages\">");
    if view.query.after.is_some() {
        html.raw("<a href=\"/status?prefix=").url_part(&view.query.prefix).raw("\">First page</a> ");
    }
    if let Some(next) = &view.next {
        html.raw("<a rel=\"next\" href=\"/status?prefix=").url_part(&view.query.prefix);
        html.raw("&amp;after=").url_part(next).raw("\">Next page</a>");
    }
    html.raw("</p>\n");
}

fn table(html: &mut Html, locks: &[Lock]) {
    html.raw("<div class=\"frame\"><table class=\"rows locks\"><thead><tr><th>Lock</th><th>Held by</th>");
    html.raw("<th class=\"number\">Held for</th><th class=\"number\">Ends in</th>");
    html.raw("<th class=\"number\">Token</th><th class=\"number\">Waiting</th></tr></thead><tbody>\n");
    locks.iter().for_each(|lock| rows(html, lock));
    html.raw("</tbody></table></div>\n");
}

/// One row for each hold; the first names the lock.
fn rows(html: &mut Html, lock: &Lock) {
    let class = if lock.waiters > 0 { "busy" } else { "" };
    html.raw("<tr class=\"").raw(class).raw("\"><td>");
    html.raw("<bdi class=\"name\">").text(if lock.name.is_empty() { "(empty name)" } else { &*lock.name });
    html.raw("</bdi>");
    if lock.size > 1 {
        html.raw("<span class=\"via\">").text(lock.holds.len() + lock.holds_not_shown).raw(" of ");
        html.text(Grouped(lock.size.into())).raw(" held</span>");
    }
    html.raw("</td>");
    match lock.holds.first() {
        Some(first) => hold(html, first),
        None => no_hold(html),
    }
    html.raw("<td class=\"number\" data-label=\"Waiting\">");
    if lock.waiters > 0 {
        html.raw("<span class=\"queue\">").text(Grouped(lock.waiters.into())).raw("</span>");
    }
    html.raw("</td></tr>\n");
    for other in lock.holds.iter().skip(1) {
        html.raw("<tr class=\"same ").raw(class).raw("\"><td></td>");
        hold(html, other);
        html.raw("<td></td></tr>\n");
    }
    if lock.holds_not_shown > 0 {
        html.raw("<tr class=\"same ").raw(class).raw("\"><td></td><td class=\"quiet\" colspan=\"5\">and ");
        html.text(Count(lock.holds_not_shown as u64, "more hold")).raw("</td></tr>\n");
    }
}

fn no_hold(html: &mut Html) {
    html.raw("<td class=\"quiet\">nobody at this moment</td><td></td><td></td><td></td>");
}

fn hold(html: &mut Html, hold: &Hold) {
    html.raw("<td>");
    if !hold.metadata.is_empty() {
        html.raw("<dl class=\"facts\">");
        for (key, value) in &hold.metadata {
            html.raw("<div><dt><bdi>").text(key).raw("</bdi></dt><dd><bdi>").text(value).raw("</bdi></dd></div>");
        }
        html.raw("</dl>");
    }
    html.raw("<span class=\"via\">");
    if let Some(label) = &hold.label {
        html.raw("owner <bdi>").text(label).raw("</bdi>, ");
    }
    if let Some(session) = &hold.session {
        html.raw("session <span class=\"handle\">").text(session).raw("</span>, ");
    }
    html.raw("via ").raw(hold.dialect).raw("</span></td>");
    html.raw("<td class=\"number\" data-label=\"Held for\">").text(Span(hold.held_for)).raw("</td>");
    html.raw("<td class=\"number\" data-label=\"Ends in\">");
    match hold.remaining {
        Some(left) if left < SOON => html.raw("<span class=\"soon\">").text(Span(left)).raw("</span>"),
        Some(left) => html.text(Span(left)),
        None => html.raw("<span class=\"quiet\">when released</span>"),
    };
    if hold.with_session {
        html.raw(" <span class=\"quiet\">with its session</span>");
    }
    html.raw("</td><td class=\"number\" data-label=\"Token\">").text(hold.token.0).raw("</td>");
}
