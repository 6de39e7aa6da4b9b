//! The page of one session: what it holds, and what it waits for.

use super::acts::{self, Kind, Target};
use super::asked::Href;
use super::frame::{Context, Page, STREAM, Section};
use super::html::Html;
use super::human::{Grouped, Span};
use super::names;
use super::sessions::end;
use super::table::{Column, empty, facts, figure, number, table, text};
use crate::domain::Timestamp;
use crate::domain::view::{SessionParts, SessionView};
use crate::engine::{Engine, Fault};
use std::time::Duration;

pub use super::owner::SESSION as PATH;

const ROWS_SHOWN: usize = 100;

/// What the page shows.
pub struct OneSession {
    pub(super) handle: String,
    pub(super) session: Option<(SessionView, SessionParts)>,
    pub(super) now: Timestamp,
}

pub async fn gather(engine: &Engine, handle: String) -> Result<OneSession, Fault> {
    let found = engine.sessions_with_handle(handle.clone()).await?.into_iter().next();
    let session = found.map(|session| {
        let parts = engine.local_parts_of(session.session, ROWS_SHOWN);
        (session, parts)
    });
    Ok(OneSession { handle, session, now: engine.now() })
}

pub fn page(view: &OneSession, context: &Context<'_>) -> String {
    let mut body = Html::default();
    match &view.session {
        Some((session, parts)) => {
            let idle = Duration::from_millis(session.idle_timeout_ms);
            facts(
                &mut body,
                vec![
                    ("Holds", Html::of(Grouped(session.holds.into()))),
                    ("Waits", Html::of(Grouped(session.waiters.into()))),
                    ("Ends if idle for", Html::of(Span(idle))),
                    ("Ends in", end(session, view.now)),
                ],
            );
            if context.viewer.is_some_and(|viewer| viewer.is_admin()) {
                let target = Target::session(&view.handle);
                body.raw("<p>").append(acts::link(Kind::EndSession, &target, "End this session")).raw("</p>\n");
            }
            holds(&mut body, parts);
            waits(&mut body, parts);
        }
        None => {
            let mut next = Html::default();
            next.raw("<p>It has ended, or never was. <a href=\"/ui/sessions\">Show all sessions</a></p>");
            empty(&mut body, "No such session", next);
        }
    }
    let mut heading = Html::default();
    heading.raw("<span class=\"handle\">").text(&view.handle).raw("</span>");
    let page = Page {
        title: format!("session {}", view.handle),
        is_below: true,
        heading,
        live: Some(Href::to(STREAM)),
        ..Page::of(Section::Sessions, body)
    };
    page.finish(context)
}

fn holds(html: &mut Html, parts: &SessionParts) {
    const COLUMNS: [Column; 2] = [text("Lock"), number("Fencing token")];
    html.raw("<h2>Holds</h2>\n");
    if parts.holds.is_empty() {
        html.raw("<p class=\"quiet\">It holds nothing.</p>\n");
        return;
    }
    let mut rows = Html::default();
    for (token, name) in &parts.holds {
        rows.raw("<tr><td>").append(names::link(name)).raw("</td>");
        figure(&mut rows, "Fencing token", Html::of(token.0));
        rows.raw("</tr>\n");
    }
    table(html, "Holds", "narrow", &COLUMNS, rows);
}

fn waits(html: &mut Html, parts: &SessionParts) {
    html.raw("<h2>Waits</h2>\n");
    if parts.waits.is_empty() {
        html.raw("<p class=\"quiet\">It waits for nothing.</p>\n");
        return;
    }
    html.raw("<ul class=\"steps\">");
    parts.waits.iter().for_each(|name| _ = html.raw("<li>").append(names::link(name)).raw("</li>"));
    html.raw("</ul>\n");
}
