//! The page of locks: who holds what, contended locks first, or those that were searched for.

mod query;
mod rows;

use super::asked::{Asked, Href};
use super::frame::{Context, Page, STREAM, Section};
use super::html::Html;
use super::human::{Count, Grouped, Span};
use super::table::{empty, pager};
use crate::access::Identity;
use crate::domain::view::{Counts, LockFilter};
use crate::domain::{LockOrder, Name};
use crate::engine::{Engine, Fault, LockPage, PageLimit, RankedPage};
pub(super) use query::LocksQuery;
use query::{Choice, ORDERS, Order, PATH, STATES, State};
use std::time::Duration;

const SHOWN: PageLimit = PageLimit { rows: 100, bytes: 128 << 10 };
const CONTENDED_SHOWN: PageLimit = PageLimit { rows: 25, bytes: 32 << 10 };

/// What the page shows.
pub struct LocksView {
    pub(super) query: LocksQuery,
    pub(super) ready: bool,
    pub(super) uptime: Duration,
    /// `None` for a viewer who may not see the whole service.
    pub(super) counts: Option<Counts>,
    /// The longest queues first, on the first page in the usual order.
    pub(super) contended: Option<RankedPage>,
    pub(super) locks: LockPage,
    pub(super) next: Option<Href>,
    /// How many locks there are of this kind, where all were looked at.
    pub(super) matching: Option<u64>,
}

/// Reads the state that this viewer may see.
pub async fn gather(engine: &Engine, viewer: &Identity, asked: Asked<'_>) -> Result<LocksView, Fault> {
    let query = LocksQuery::of(asked);
    let filter = query.filter(viewer);
    let overview = engine.overview();
    let mut view = match query.order {
        Order::By(order) => ranked(engine, query, filter, order).await?,
        Order::Usual if query.state == State::Any => usual(engine, query, filter, overview.counts.waiters > 0).await?,
        Order::Usual | Order::Name => by_name(engine, query, filter).await?,
    };
    view.contended.iter_mut().for_each(|page| engine.mark_frozen(&mut page.locks));
    engine.mark_frozen(&mut view.locks.locks);
    (view.ready, view.uptime) = (engine.is_ready(), overview.uptime);
    view.counts = viewer.sees_every_name().then_some(overview.counts);
    Ok(view)
}

async fn ranked(engine: &Engine, query: LocksQuery, filter: LockFilter, order: LockOrder) -> Result<LocksView, Fault> {
    let page = engine.ranked_locks(filter, order, query.rank(), SHOWN).await?;
    let next = page.next.as_ref().map(|next| query.next(&next.name, Some(next.number)));
    let locks = LockPage { locks: page.locks, next: None, now: page.now };
    Ok(LocksView { matching: Some(page.matching), ..LocksView::new(query, locks, next) })
}

async fn by_name(engine: &Engine, query: LocksQuery, filter: LockFilter) -> Result<LocksView, Fault> {
    let after = query.after.as_ref().map(|(name, _)| name.clone());
    let locks = engine.locks(filter, after, SHOWN).await?;
    let next = locks.next.as_ref().map(|next: &Name| query.next(next, None));
    Ok(LocksView::new(query, locks, next))
}

/// Looking for waiters reads every lock, so it is not done where there are none.
async fn usual(engine: &Engine, query: LocksQuery, filter: LockFilter, any_wait: bool) -> Result<LocksView, Fault> {
    let contended = match query.after {
        None if any_wait => {
            let filter = LockFilter { contended: Some(true), ..filter.clone() };
            let page = engine.ranked_locks(filter, LockOrder::MostWaiters, None, CONTENDED_SHOWN).await?;
            Some(page).filter(|page| !page.locks.is_empty())
        }
        _ => None,
    };
    let view = by_name(engine, query, LockFilter { contended: Some(false), ..filter }).await?;
    Ok(LocksView { contended, ..view })
}

impl LocksView {
    pub(super) fn new(query: LocksQuery, locks: LockPage, next: Option<Href>) -> LocksView {
        let (uptime, counts, contended, matching) = (Duration::ZERO, None, None, None);
        LocksView { query, ready: true, uptime, counts, contended, locks, next, matching }
    }

    fn title(&self) -> String {
        let locks = |counts: &Counts| Count(counts.locks, "lock");
        match &self.counts {
            _ if !self.ready => "Not ready".to_owned(),
            Some(counts) if counts.waiters > 0 => format!("{}, {} waiting", locks(counts), counts.waiters),
            Some(counts) => locks(counts).to_string(),
            None => "Locks".to_owned(),
        }
    }
}

pub fn page(view: &LocksView, context: &Context<'_>) -> String {
    let mut body = Html::default();
    state(&mut body, view);
    view.counts.iter().for_each(|counts| figures(&mut body, counts));
    if view.contended.is_none() && view.locks.locks.is_empty() && view.query.after.is_none() {
        nothing(&mut body, view, context);
    } else {
        tables(&mut body, view, context);
    }
    let live = Href::to(STREAM).with("prefix", &view.query.prefix);
    let page =
        Page { title: view.title(), above: form(&view.query), live: Some(live), ..Page::of(Section::Locks, body) };
    page.finish(context)
}

fn state(html: &mut Html, view: &LocksView) {
    html.raw("<p class=\"state\">");
    match view.ready {
        true => html.raw("<span class=\"mark good\">ready</span>"),
        false => html.raw("<span class=\"mark bad\">not ready</span> starting, stopping, or without a leader"),
    };
    html.raw(" up ").text(Span(view.uptime)).raw(" · latchd ").text(env!("CARGO_PKG_VERSION")).raw("</p>\n");
}

fn figures(html: &mut Html, counts: &Counts) {
    html.raw("<dl class=\"figures\">");
    for (label, number, is_busy) in [
        ("locks", counts.locks, false),
        ("holds", counts.holds, false),
        ("waiting", counts.waiters, counts.waiters > 0),
        ("sessions", counts.sessions, false),
    ] {
        html.raw(if is_busy { "<div class=\"busy\"><dt>" } else { "<div><dt>" });
        html.raw(label).raw("</dt><dd>").text(Grouped(number)).raw("</dd></div>");
    }
    html.raw("</dl>\n");
}

fn form(query: &LocksQuery) -> Html {
    let mut html = Html::default();
    html.raw("<form class=\"search\" role=\"search\" action=\"").raw(PATH).raw("\" method=\"get\">");
    html.raw("<label>Name starts with <input name=\"prefix\" type=\"search\" autocomplete=\"off\" ");
    html.raw("autocapitalize=\"off\" spellcheck=\"false\" value=\"").text(&query.prefix).raw("\"></label>\n");
    html.raw("<label>and contains <input name=\"has\" type=\"search\" autocomplete=\"off\" ");
    html.raw("autocapitalize=\"off\" spellcheck=\"false\" value=\"").text(&query.containing).raw("\"></label>\n");
    html.raw("<label>State ");
    select(&mut html, "state", &STATES, query.state);
    html.raw("</label>\n<label>Order ");
    select(&mut html, "sort", &ORDERS, query.order);
    html.raw("</label>\n<button type=\"submit\">Show</button></form>\n");
    html
}

fn select<T: PartialEq>(html: &mut Html, name: &'static str, choices: &[Choice<T>], chosen: T) {
    html.raw("<select name=\"").raw(name).raw("\">");
    for Choice(choice, parameter, label) in choices {
        html.raw("<option value=\"").raw(parameter).raw(if *choice == chosen { "\" selected>" } else { "\">" });
        html.raw(label).raw("</option>");
    }
    html.raw("</select>");
}

fn tables(html: &mut Html, view: &LocksView, context: &Context<'_>) {
    if let Some(contended) = &view.contended {
        html.raw("<h2>Contended");
        if contended.next.is_some() {
            html.raw(" <span class=\"quiet\">the ").text(contended.locks.len()).raw(" longest queues of ");
            html.text(Grouped(contended.matching)).raw(", <a href=\"").append(all_contended(view).written());
            html.raw("\">show all</a></span>");
        }
        html.raw("</h2>\n");
        rows::table(html, &contended.locks, contended.now, context);
    }
    if !view.locks.locks.is_empty() {
        if view.contended.is_some() {
            html.raw("<h2>Other locks</h2>\n");
        } else if let Some(matching) = view.matching {
            html.raw("<p class=\"state\">").text(Count(matching, "lock")).raw(" in this order</p>\n");
        }
        rows::table(html, &view.locks.locks, view.locks.now, context);
    }
    pager(html, view.query.after.as_ref().map(|_| view.query.href()), view.next.clone());
}

fn all_contended(view: &LocksView) -> Href {
    let query = LocksQuery { state: State::Contended, order: Order::By(LockOrder::MostWaiters), ..view.query.clone() };
    query.href()
}

/// Shows an example instead of an empty table.
fn nothing(html: &mut Html, view: &LocksView, context: &Context<'_>) {
    let mut next = Html::default();
    if view.query.is_search() {
        next.raw("<p>No lock that you may see ");
        match &*view.query.prefix {
            "" => next.raw("is like this"),
            prefix => next.raw("starts with <bdi class=\"name\">").text(prefix).raw("</bdi>"),
        };
        next.raw(". <a href=\"/\">Show all locks</a></p>");
        return empty(html, "No lock here", next);
    }
    let credential = if context.needs_credential { " -u :PASSWORD" } else { "" };
    let insecure = if context.origin.starts_with("https:") { " -k" } else { "" };
    next.raw("<p>Open a session and take a lock for a minute:</p>");
    next.raw("<pre tabindex=\"0\">curl").raw(insecure).raw(credential).raw(" -c jar -X POST ");
    next.text(&context.origin).raw("/session\ncurl").raw(insecure).raw(credential).raw(" -b jar -d ");
    next.text("'{\"name\": \"demo\", \"lock_timeout_seconds\": 60}' ").text(&context.origin).raw("/v1/lock</pre>");
    empty(html, "Nothing is locked", next);
}
