//! Who holds or waits, as every page shows it.

use super::asked::Href;
use super::frame::Context;
use super::html::Html;
use super::human::Span;
use crate::domain::view::{HoldView, OwnerView, WaiterView};
use crate::domain::{Dialect, Metadata, PastHold, SessionId, Terms, Timestamp};
use std::time::Duration;

/// A lease that ends this soon is shown as such.
const SOON: Duration = Duration::from_secs(10);

/// The path of the page of one session.
pub const SESSION: &str = "/ui/session";

pub fn of_hold(context: &Context<'_>, hold: &HoldView) -> Html {
    owner(context, &hold.metadata, hold.terms.as_deref(), hold.shown_label(), hold.session, hold.dialect)
}

pub fn of_waiter(context: &Context<'_>, waiter: &WaiterView) -> Html {
    owner(context, &waiter.metadata, waiter.terms.as_deref(), waiter.shown_label(), waiter.session, waiter.dialect)
}

pub fn of_past(context: &Context<'_>, hold: &PastHold) -> Html {
    let mut html = owner(context, &hold.metadata, None, hold.label(), hold.session(), hold.dialect);
    if let Some(value) = hold.value() {
        html.raw("<span class=\"via\">led as <bdi>").text(value).raw("</bdi></span>");
    }
    html
}

fn owner(
    context: &Context<'_>,
    metadata: &Metadata,
    terms: Option<&Terms>,
    label: Option<&str>,
    session: Option<SessionId>,
    dialect: Dialect,
) -> Html {
    let mut html = Html::default();
    if !metadata.is_empty() {
        html.raw("<dl class=\"facts\">");
        for (key, value) in metadata.iter() {
            html.raw("<div><dt><bdi>").text(key).raw("</bdi></dt><dd><bdi>").text(value).raw("</bdi></dd></div>");
        }
        html.raw("</dl>");
    }
    html.raw("<span class=\"via\">");
    terms.into_iter().for_each(|terms| of_terms(&mut html, terms));
    if let Some(label) = label {
        html.raw("owner <bdi>").text(label).raw("</bdi>, ");
    }
    if let Some(session) = session {
        html.raw("session ").append(handle(context, session)).raw(", ");
    }
    html.raw("via ").raw((context.titles)(dialect)).raw("</span>");
    html
}

/// What a hold is, or a waiter asks for, beyond one place in one lock.
fn of_terms(html: &mut Html, terms: &Terms) {
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

/// The handle of a session, with a way to its page for those who may see it.
pub fn handle(context: &Context<'_>, session: SessionId) -> Html {
    let (mut html, handle) = (Html::default(), session.handle());
    if context.viewer.is_some_and(|viewer| viewer.sees_every_name()) {
        html.raw("<a class=\"handle\" href=\"").append(Href::to(SESSION).with("handle", &handle).written()).raw("\">");
        html.text(handle).raw("</a>");
    } else {
        html.raw("<span class=\"handle\">").text(handle).raw("</span>");
    }
    html
}

/// An owner in a sentence.
pub fn named(context: &Context<'_>, owner: &OwnerView) -> Html {
    let mut html = Html::default();
    match (&owner.label, owner.session) {
        (Some(label), _) => html.raw("owner <bdi class=\"name\">").text(label).raw("</bdi>"),
        (None, Some(session)) => html.raw("session ").append(handle(context, session)),
        (None, None) => html.raw("an owner via ").raw((context.titles)(owner.dialect)),
    };
    html
}

/// When a hold ends unless its owner renews it.
pub fn end(hold: &HoldView, now: Timestamp) -> Html {
    let mut html = Html::default();
    match hold.ends.map(|end| end.since(now)) {
        Some(left) if left < SOON => html.raw("<span class=\"soon\">").text(Span(left)).raw("</span>"),
        Some(left) => html.text(Span(left)),
        None => html.raw("<span class=\"quiet\">when released</span>"),
    };
    // Its session ends sooner than its lease.
    if hold.ends != hold.deadline {
        html.raw("<span class=\"via\">with its session</span>");
    }
    html
}
