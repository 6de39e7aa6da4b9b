//! The page of elections among clients: who leads, and how many wait to lead.

use super::asked::{Asked, Href};
use super::frame::{Context, Page, STREAM, Section};
use super::freezes;
use super::html::Html;
use super::human::{Grouped, Span};
use super::names;
use super::owner::{self, handle};
use super::table::{Column, cell, empty, figure, number, pager, table, text};
use crate::access::Identity;
use crate::domain::view::{HoldView, LockFilter, LockView};
use crate::domain::{Name, Timestamp};
use crate::engine::{Engine, Fault, LockPage, PageLimit};

const SHOWN: PageLimit = PageLimit { rows: 100, bytes: 128 << 10 };

/// What the page shows.
pub struct ElectionsView {
    pub(super) prefix: String,
    pub(super) is_first: bool,
    pub(super) page: LockPage,
}

pub async fn gather(engine: &Engine, viewer: &Identity, asked: Asked<'_>) -> Result<ElectionsView, Fault> {
    let (prefix, after) = (asked.text("prefix"), asked.given("after"));
    let filter = LockFilter { prefixes: viewer.prefixes_under(&prefix), elections: true, ..LockFilter::default() };
    let is_first = after.is_none();
    let mut page = engine.locks(filter, after.as_deref().map(Name::from), SHOWN).await?;
    engine.mark_frozen(&mut page.locks);
    Ok(ElectionsView { prefix, is_first, page })
}

pub fn page(view: &ElectionsView, context: &Context<'_>) -> String {
    const COLUMNS: [Column; 6] = [
        text("Election"),
        text("Leader"),
        number("Leads for"),
        number("Ends in"),
        number("Fencing token"),
        number("Candidates"),
    ];
    let mut body = Html::default();
    if view.page.locks.is_empty() {
        let mut next = Html::default();
        next.raw("<p>A program campaigns with <code>latchd elect NAME -- PROGRAM</code>, or with ");
        next.raw("<code>POST /v1/elections/{name}</code>. <a href=\"/docs\">Read about elections</a></p>");
        empty(&mut body, "No election here", next);
    } else {
        let mut rows = Html::default();
        view.page.locks.iter().for_each(|lock| row(&mut rows, lock, view.page.now, context));
        table(&mut body, "Elections", "locks", &COLUMNS, rows);
    }
    let here = || Href::to(Section::Elections.path()).with("prefix", &view.prefix);
    let next = view.page.next.as_ref().map(|next| here().with("after", next));
    pager(&mut body, (!view.is_first).then(here), next);
    let live = Some(Href::to(STREAM).with("prefix", &view.prefix));
    Page { live, ..Page::of(Section::Elections, body) }.finish(context)
}

fn row(html: &mut Html, lock: &LockView, now: Timestamp, context: &Context<'_>) {
    html.raw("<tr><td>").append(names::link(&lock.name));
    lock.frozen.iter().for_each(|by| _ = html.append(freezes::mark(by, context)));
    html.raw("</td>");
    let led = |hold: &&HoldView| hold.terms.as_ref().is_some_and(|terms| terms.value.is_some());
    match lock.holds.iter().find(led) {
        Some(leader) => {
            cell(html, "Leader", leader_of(leader, context));
            figure(html, "Leads for", Html::of(Span(now.since(leader.since))));
            figure(html, "Ends in", owner::end(leader, now));
            figure(html, "Fencing token", Html::of(leader.token.0));
        }
        None => _ = html.raw("<td><span class=\"mark busy\">nobody leads</span></td><td></td><td></td><td></td>"),
    }
    figure(html, "Candidates", Html::of(Grouped(lock.waiters.into())));
    html.raw("</tr>\n");
}

fn leader_of(hold: &HoldView, context: &Context<'_>) -> Html {
    let mut html = Html::default();
    html.raw("<bdi class=\"value\">");
    html.text(hold.terms.as_ref().and_then(|terms| terms.value.as_deref()).unwrap_or_default()).raw("</bdi>");
    html.raw("<span class=\"via\">");
    if let Some(session) = hold.session {
        html.raw("session ").append(handle(context, session)).raw(", ");
    }
    html.raw("via ").raw((context.titles)(hold.dialect)).raw("</span>");
    html
}
