//! The page of sessions, for those who may see every name: the holds of a session may have any.

use super::asked::{Asked, Href};
use super::frame::{Context, Page, STREAM, Section};
use super::html::Html;
use super::human::{Count, Grouped, Span};
use super::owner::handle;
use super::table::{Column, empty, figure, number, pager, table, text};
use crate::access::Seal;
use crate::domain::view::SessionView;
use crate::domain::{SessionId, Timestamp};
use crate::engine::{Engine, Fault, SessionPage};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::sync::LazyLock;
use std::time::Duration;

const SHOWN: usize = 100;

/// What a viewer lacks who may not see this page.
pub const RIGHT: &str = "see sessions";

/// Session ids are secrets, so the address of the next page has one only under this process' own seal.
static SEAL: LazyLock<Seal> = LazyLock::new(Seal::new);

/// What the page shows.
pub struct SessionsView {
    pub(super) sessions: SessionPage,
    pub(super) total: u64,
    pub(super) is_first: bool,
}

pub async fn gather(engine: &Engine, asked: Asked<'_>) -> Result<SessionsView, Fault> {
    let after = asked.given("after").and_then(|sealed| opened(&sealed));
    let sessions = engine.sessions(after, SHOWN).await?;
    Ok(SessionsView { sessions, total: engine.overview().counts.sessions, is_first: after.is_none() })
}

fn opened(sealed: &str) -> Option<SessionId> {
    SEAL.open(&BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?).map(SessionId)
}

pub fn page(view: &SessionsView, context: &Context<'_>) -> String {
    const COLUMNS: [Column; 5] =
        [text("Session"), number("Holds"), number("Waits"), number("Ends if idle for"), number("Ends in")];
    let mut body = Html::default();
    if view.sessions.sessions.is_empty() {
        let mut next = Html::default();
        next.raw("<p>A client opens one with <code>POST /session</code>, or takes its locks without. ");
        next.raw("<a href=\"/docs\">Read about sessions</a></p>");
        empty(&mut body, "No session here", next);
    } else {
        body.raw("<p class=\"state\">").text(Count(view.total, "session")).raw(", named by their handles</p>\n");
        let mut rows = Html::default();
        view.sessions.sessions.iter().for_each(|session| row(&mut rows, session, view.sessions.now, context));
        table(&mut body, "Sessions", "narrow", &COLUMNS, rows);
    }
    let first = (!view.is_first).then(|| Href::to(Section::Sessions.path()));
    let next = view.sessions.next.map(|next| {
        Href::to(Section::Sessions.path()).with("after", BASE64_URL_SAFE_NO_PAD.encode(SEAL.close(&next.0)))
    });
    pager(&mut body, first, next);
    Page { live: Some(Href::to(STREAM)), ..Page::of(Section::Sessions, body) }.finish(context)
}

fn row(html: &mut Html, session: &SessionView, now: Timestamp, context: &Context<'_>) {
    html.raw("<tr><td>").append(handle(context, session.session)).raw("</td>");
    figure(html, "Holds", Html::of(Grouped(session.holds.into())));
    figure(html, "Waits", Html::of(Grouped(session.waiters.into())));
    figure(html, "Ends if idle for", Html::of(Span(Duration::from_millis(session.idle_timeout_ms))));
    figure(html, "Ends in", end(session, now));
    html.raw("</tr>\n");
}

pub fn end(session: &SessionView, now: Timestamp) -> Html {
    match session.deadline {
        Some(deadline) => Html::of(Span(deadline.since(now))),
        None => Html::of("in a request"),
    }
}
