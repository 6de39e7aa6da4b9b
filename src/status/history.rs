//! The last holds of a lock that have ended, as its page shows them: by whom, for how long, and how each ended.

use super::frame::Context;
use super::html::Html;
use super::human::Span;
use super::owner;
use super::table::{Column, cell, figure, number, table, text};
use crate::domain::{EndReason, PastHold, Timestamp};

/// So many are shown.
pub const SHOWN: usize = 20;

/// `shows_actor`: whose credential forced an end is for admins of the name, as in the API.
pub fn section(html: &mut Html, past: &[PastHold], now: Timestamp, shows_actor: bool, context: &Context<'_>) {
    const COLUMNS: [Column; 5] =
        [text("Holder"), number("Held for"), number("Ended"), text("How it ended"), number("Fencing token")];
    html.raw("<h2>History</h2>\n");
    if past.is_empty() {
        html.raw("<p class=\"quiet\">No hold of it has ended that is remembered.</p>\n");
        return;
    }
    let mut rows = Html::default();
    past.iter().for_each(|hold| row(&mut rows, hold, now, shows_actor, context));
    table(html, "History", "past", &COLUMNS, rows);
}

fn row(html: &mut Html, hold: &PastHold, now: Timestamp, shows_actor: bool, context: &Context<'_>) {
    html.raw("<tr><td>").append(owner::of_past(context, hold)).raw("</td>");
    figure(html, "Held for", Html::of(Span(hold.ended.since(hold.since))));
    figure(html, "Ended", Html::of(format_args!("{} ago", Span(now.since(hold.ended)))));
    cell(html, "How it ended", how(hold, shows_actor));
    figure(html, "Fencing token", Html::of(hold.token.0));
    html.raw("</tr>\n");
}

fn how(hold: &PastHold, shows_actor: bool) -> Html {
    let mut html = Html::default();
    html.raw(match hold.why {
        EndReason::Released => "<span class=\"mark\">released</span>",
        EndReason::Expired => "<span class=\"mark busy\">lease over</span>",
        EndReason::Forced => "<span class=\"mark bad\">forced</span>",
        EndReason::SessionEnded if hold.timed_out => "<span class=\"mark busy\">session idle</span>",
        EndReason::SessionEnded => "<span class=\"mark\">session closed</span>",
        EndReason::Transferred => "<span class=\"mark\">transferred</span>",
        EndReason::Cancelled => "<span class=\"mark\">never delivered</span>",
    });
    if let Some(force) = hold.force() {
        if shows_actor {
            html.raw(" by <bdi>").text(&force.by).raw("</bdi>");
        }
        html.raw("<span class=\"via\"><bdi>").text(&force.reason).raw("</bdi></span>");
    }
    html
}
