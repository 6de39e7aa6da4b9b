//! The page of the locks that were waited for lately: where to look first.

use super::asked::{Asked, Href};
use super::frame::{Context, Page, STREAM, Section};
use super::html::Html;
use super::human::{Grouped, Span};
use super::names;
use super::table::{Column, empty, figure, number, table, text};
use crate::access::Identity;
use crate::engine::{Contention, ContentionOrder, ContentionRow, Engine};
use std::time::Duration;

const SHOWN: usize = 100;

/// The orders, as a form offers them.
const ORDERS: [(ContentionOrder, &str); 5] = [
    (ContentionOrder::Wait, "most time waited"),
    (ContentionOrder::LongestWait, "longest wait"),
    (ContentionOrder::Waits, "most waits"),
    (ContentionOrder::Timeouts, "most timeouts"),
    (ContentionOrder::Hold, "most time held"),
];

/// What the page shows.
pub struct ContentionView {
    pub(super) prefix: String,
    pub(super) order: ContentionOrder,
    pub(super) seen: Contention,
    pub(super) node: u64,
}

/// What this node has seen of the locks that this viewer may see.
pub fn gather(engine: &Engine, viewer: &Identity, asked: Asked<'_>) -> ContentionView {
    let (prefix, by) = (asked.text("prefix"), asked.text("by"));
    let order =
        ORDERS.iter().find(|(order, _)| order.as_str() == by).map_or(ContentionOrder::Wait, |(order, _)| *order);
    let seen = engine.contention(&viewer.prefixes_under(&prefix), order, SHOWN);
    ContentionView { prefix, order, seen, node: engine.local_cluster().node }
}

pub fn page(view: &ContentionView, context: &Context<'_>) -> String {
    const COLUMNS: [Column; 9] = [
        text("Lock"),
        number("Waiting"),
        number("Waits"),
        number("Granted"),
        number("Timeouts"),
        number("Waited in all"),
        number("Longest wait"),
        number("Held in all"),
        number("Longest hold"),
    ];
    let mut body = Html::default();
    body.raw("<p class=\"state\">The last ").text(Span(view.seen.covers)).raw(", as node ").text(view.node);
    body.raw(" has seen them</p>\n");
    if view.seen.rows.is_empty() {
        let mut next = Html::default();
        next.raw("<p>Nobody waited for a lock here lately. Slow waits and holds are also told in the log: see ");
        next.raw("<code>log.slow_wait</code> and <code>log.slow_hold</code>.</p>");
        empty(&mut body, "No contention", next);
    } else {
        let mut rows = Html::default();
        view.seen.rows.iter().for_each(|lock| row(&mut rows, lock));
        table(&mut body, "Contention", "members", &COLUMNS, rows);
    }
    let live = Some(Href::to(STREAM).with("prefix", &view.prefix));
    Page { live, above: form(view), ..Page::of(Section::Contention, body) }.finish(context)
}

fn form(view: &ContentionView) -> Html {
    let mut html = Html::default();
    html.raw("<form class=\"search\" role=\"search\" action=\"")
        .raw(Section::Contention.path())
        .raw("\" method=\"get\">");
    html.raw("<label>Name starts with <input name=\"prefix\" type=\"search\" autocomplete=\"off\" ");
    html.raw("autocapitalize=\"off\" spellcheck=\"false\" value=\"").text(&view.prefix).raw("\"></label>\n");
    html.raw("<label>Order <select name=\"by\">");
    for (order, label) in ORDERS {
        html.raw("<option value=\"").raw(order.as_str()).raw(if view.order == order { "\" selected>" } else { "\">" });
        html.raw(label).raw("</option>");
    }
    html.raw("</select></label>\n<button type=\"submit\">Show</button></form>\n");
    html
}

fn row(html: &mut Html, lock: &ContentionRow) {
    let ContentionRow { name, waiting, counts } = lock;
    html.raw("<tr><td>").append(names::link(name)).raw("</td>");
    let mut queue = Html::default();
    if *waiting > 0 {
        queue.raw("<span class=\"queue\">").text(Grouped((*waiting).into())).raw("</span>");
    }
    figure(html, "Waiting", queue);
    for (title, count) in [("Waits", counts.waits), ("Granted", counts.granted), ("Timeouts", counts.timeouts)] {
        figure(html, title, Html::of(Grouped(count)));
    }
    for (title, ms) in [
        ("Waited in all", counts.wait_ms),
        ("Longest wait", counts.wait_max_ms),
        ("Held in all", counts.hold_ms),
        ("Longest hold", counts.hold_max_ms),
    ] {
        figure(html, title, Html::of(Span(Duration::from_millis(ms))));
    }
    html.raw("</tr>\n");
}
