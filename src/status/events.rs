//! The page of what has just happened: the newest events that this node keeps, exchanged whenever there is a new one.

use super::asked::{Asked, Href};
use super::frame::{Context, Page, STREAM, Section};
use super::html::Html;
use super::names;
use super::owner::handle;
use super::table::{Column, cell, empty, figure, number, pager, table, text};
use crate::access::Identity;
use crate::domain::{EndReason, Name};
use crate::engine::Engine;
use crate::engine::events::{EventFilter, EventId, LockEvent, NameFilter, PublishedEvent};

const SHOWN: usize = 100;

/// The kinds of events that the page can be limited to, with their words.
const KINDS: [(&str, &str); 8] = [
    ("granted", "granted"),
    ("released", "released"),
    ("expired", "expired"),
    ("forced", "forced"),
    ("value-changed", "value changed"),
    ("session-ended", "session ended"),
    ("frozen", "frozen"),
    ("thawed", "thawed"),
];

/// What the page shows.
pub struct EventsView {
    pub(super) prefix: String,
    pub(super) kind: String,
    pub(super) is_first: bool,
    pub(super) events: Vec<PublishedEvent>,
    pub(super) next: Option<EventId>,
}

/// The events that this viewer may see.
pub fn gather(engine: &Engine, viewer: &Identity, asked: Asked<'_>) -> EventsView {
    let (prefix, kind) = (asked.text("prefix"), asked.text("kind"));
    let before = asked.given("before").and_then(|id| id.parse().ok());
    let filter = EventFilter {
        names: NameFilter::Under(viewer.prefixes_under(&prefix)),
        sessions: prefix.is_empty() && viewer.sees_every_name(),
    };
    let is_wanted = |event: &LockEvent| filter.matches(event) && (kind.is_empty() || kind_of(event) == kind);
    let (events, next) = engine.newest_events(before, &is_wanted, SHOWN);
    EventsView { prefix, kind, is_first: before.is_none(), events, next }
}

fn kind_of(event: &LockEvent) -> &'static str {
    match event {
        LockEvent::Granted { .. } => "granted",
        LockEvent::ValueChanged { .. } => "value-changed",
        LockEvent::HoldEnded { why: EndReason::Expired, .. } => "expired",
        LockEvent::HoldEnded { why: EndReason::Forced, .. } => "forced",
        LockEvent::HoldEnded { .. } => "released",
        LockEvent::SessionEnded { .. } => "session-ended",
        LockEvent::Frozen { .. } => "frozen",
        LockEvent::Thawed { .. } => "thawed",
    }
}

pub fn page(view: &EventsView, context: &Context<'_>) -> String {
    const COLUMNS: [Column; 6] =
        [text("What"), text("Lock"), number("Fencing token"), text("How"), text("Session"), number("Event")];
    let mut body = Html::default();
    if view.events.is_empty() {
        let mut next = Html::default();
        next.raw(
            "<p>Nothing of this kind is among the events that this node keeps. What happens from now on is shown ",
        );
        next.raw("here at once. Programs follow it with <code>GET /v1/events</code> or <code>latchd watch</code>.</p>");
        empty(&mut body, "No event yet", next);
    } else {
        let mut rows = Html::default();
        view.events.iter().for_each(|event| row(&mut rows, event, context));
        table(&mut body, "Events", "events", &COLUMNS, rows);
    }
    let here = || Href::to(Section::Events.path()).with("prefix", &view.prefix).with("kind", &view.kind);
    pager(&mut body, (!view.is_first).then(here), view.next.map(|next| here().with("before", next)));
    let live = view.is_first.then(|| Href::to(STREAM).with("prefix", &view.prefix));
    Page { above: form(view), live, ..Page::of(Section::Events, body) }.finish(context)
}

fn form(view: &EventsView) -> Html {
    let mut html = Html::default();
    html.raw("<form class=\"search\" role=\"search\" action=\"").raw(Section::Events.path()).raw("\" method=\"get\">");
    html.raw("<label>Name starts with <input name=\"prefix\" type=\"search\" autocomplete=\"off\" ");
    html.raw("autocapitalize=\"off\" spellcheck=\"false\" value=\"").text(&view.prefix).raw("\"></label>\n");
    html.raw("<label>What <select name=\"kind\"><option value=\"\">anything</option>");
    for (kind, label) in KINDS {
        html.raw("<option value=\"").raw(kind).raw(if view.kind == kind { "\" selected>" } else { "\">" });
        html.raw(label).raw("</option>");
    }
    html.raw("</select></label>\n<button type=\"submit\">Show</button></form>\n");
    html
}

fn row(html: &mut Html, published: &PublishedEvent, context: &Context<'_>) {
    let (name, token, how, session): (Option<&Name>, _, Html, _) = match &published.event {
        LockEvent::Granted { name, token, session, dialect, mode, value, .. } => {
            let mut how = Html::of(mode.as_str());
            if let Some(value) = value {
                how.raw(", leads as <bdi>").text(value).raw("</bdi>");
            }
            how.raw(", via ").raw((context.titles)(*dialect));
            (Some(name), Some(token), how, session.as_ref())
        }
        LockEvent::ValueChanged { name, token, value, session, .. } => {
            let mut how = Html::default();
            how.raw("leads as <bdi>").text(value).raw("</bdi>");
            (Some(name), Some(token), how, session.as_ref())
        }
        LockEvent::HoldEnded { name, token, why, session, .. } => {
            (Some(name), Some(token), Html::of(how_ended(*why)), session.as_ref())
        }
        LockEvent::SessionEnded { session, idle } => {
            (None, None, Html::of(if *idle { "it was idle for too long" } else { "closed" }), Some(session))
        }
        LockEvent::Frozen { target, freeze } | LockEvent::Thawed { target, freeze, .. } => {
            let mut how = Html::of(freeze.covers.shown(target));
            how.raw(" <bdi>").text(target).raw("</bdi>: <bdi>").text(&freeze.reason).raw("</bdi>");
            (None, None, how, None)
        }
    };
    html.raw("<tr><td>").append(mark(kind_of(&published.event))).raw("</td>");
    cell(html, "Lock", name.map(names::link).unwrap_or_default());
    figure(html, "Fencing token", token.map(|token| Html::of(token.0)).unwrap_or_default());
    cell(html, "How", how);
    cell(html, "Session", session.map(|session| handle(context, *session)).unwrap_or_default());
    figure(html, "Event", Html::of(format_args!("{}-{}", published.id.index, published.id.position)));
    html.raw("</tr>\n");
}

fn mark(kind: &str) -> Html {
    let mut html = Html::default();
    html.raw(match kind {
        "granted" => "<span class=\"mark good\">",
        "expired" => "<span class=\"mark busy\">",
        "forced" => "<span class=\"mark bad\">",
        _ => "<span class=\"mark\">",
    });
    html.raw(KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, words)| words)).raw("</span>");
    html
}

fn how_ended(why: EndReason) -> &'static str {
    match why {
        EndReason::Expired => "its lease was over",
        EndReason::Forced => "by an admin",
        EndReason::Released => "by its owner",
        EndReason::SessionEnded => "with its session",
        EndReason::Cancelled => "its client never got the answer",
        EndReason::Transferred => "transferred to another session",
    }
}
