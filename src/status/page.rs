//! The status page as HTML.

use super::html::{Html, fill};
use super::human::{Count, Grouped, Span};
use super::locks::{self, Titles};
use super::view::{View, Whole};
use crate::domain::Timestamp;
use crate::domain::view::{Counts, SessionView};
use crate::engine::{ClusterView, MemberRole, MemberView};
use std::time::Duration;

const TEMPLATE: &str = include_str!("assets/page.html");

/// The whole page.
pub fn page(view: &View, titles: Titles<'_>) -> String {
    let (title, prefix) = (Html::of(title(view)), Html::of(&view.query.prefix));
    fill(TEMPLATE, vec![("title", title), ("prefix", prefix), ("body", body(view, titles))])
}

/// The page if the state cannot be read now; it reloads by itself. A viewer with the right to see the state also sees the
/// cluster, which may be the reason.
pub fn trouble_page(why: &str, cluster: Option<&ClusterView>) -> String {
    let mut body = Html::default();
    body.raw("<section class=\"empty\"><h2>The locks cannot be shown</h2><p>").text(why);
    body.raw(".</p></section>\n");
    if let Some(cluster) = cluster {
        members(&mut body, cluster);
    }
    fill(TEMPLATE, vec![("title", Html::of("No view · latchd")), ("prefix", Html::default()), ("body", body)])
}

fn title(view: &View) -> String {
    let locks = |counts: &Counts| Count(counts.locks, "lock");
    match view.whole.as_ref().map(|whole| &whole.counts) {
        _ if !view.ready => "not ready · latchd".to_owned(),
        Some(counts) if counts.waiters > 0 => format!("{}, {} waiting · latchd", locks(counts), counts.waiters),
        Some(counts) => format!("{} · latchd", locks(counts)),
        None => "Locks · latchd".to_owned(),
    }
}

fn body(view: &View, titles: Titles<'_>) -> Html {
    let mut html = Html::default();
    state(&mut html, view);
    if let Some(whole) = &view.whole {
        figures(&mut html, whole);
    }
    if view.contended.is_none() && view.others.locks.is_empty() && view.query.after.is_none() {
        nothing(&mut html, view);
    } else {
        locks::tables(&mut html, view, titles);
    }
    if let Some(whole) = view.whole.as_ref().filter(|whole| !whole.sessions.sessions.is_empty()) {
        sessions(&mut html, whole);
    }
    members(&mut html, &view.cluster);
    html
}

fn state(html: &mut Html, view: &View) {
    html.raw("<p class=\"state\">");
    match view.ready {
        true => html.raw("Ready"),
        false => html.raw("<span class=\"off\">Not ready</span>: starting, stopping, or without a leader"),
    };
    html.raw(" · up ").text(Span(view.uptime)).raw(" · latchd ").text(env!("CARGO_PKG_VERSION")).raw("</p>\n");
}

fn figures(html: &mut Html, whole: &Whole) {
    let counts = &whole.counts;
    html.raw("<dl class=\"figures\">");
    figure(html, "locks", counts.locks, false);
    figure(html, "holds", counts.holds, false);
    figure(html, "waiting", counts.waiters, counts.waiters > 0);
    figure(html, "sessions", counts.sessions, false);
    html.raw("</dl>\n");
}

fn figure(html: &mut Html, label: &'static str, number: u64, is_busy: bool) {
    html.raw(if is_busy { "<div class=\"busy\"><dt>" } else { "<div><dt>" });
    html.raw(label).raw("</dt><dd>").text(Grouped(number)).raw("</dd></div>");
}

/// Shows an example instead of an empty table.
fn nothing(html: &mut Html, view: &View) {
    html.raw("<section class=\"empty\">");
    if view.query.prefix.is_empty() {
        html.raw("<h2>Nothing is locked</h2><p>Open a session and take a lock for a minute:</p>");
        example(html, view);
    } else {
        html.raw("<h2>No lock here</h2><p>No lock that you may see starts with <span class=\"name\">");
        html.text(&view.query.prefix).raw("</span>. <a href=\"/status\">Show all locks</a></p>");
    }
    html.raw("</section>\n");
}

fn example(html: &mut Html, view: &View) {
    let credential = if view.query.needs_credential { " -u :PASSWORD" } else { "" };
    let insecure = if view.query.origin.starts_with("https:") { " -k" } else { "" };
    html.raw("<pre>curl").raw(insecure).raw(credential).raw(" -c jar -X POST ");
    html.text(&view.query.origin).raw("/session\ncurl").raw(insecure).raw(credential).raw(" -b jar -d ");
    html.text("'{\"name\": \"demo\", \"lock_timeout_seconds\": 60}' ");
    html.text(&view.query.origin).raw("/v1/lock</pre>");
}

fn sessions(html: &mut Html, whole: &Whole) {
    html.raw("<h2>Sessions");
    let shown = whole.sessions.sessions.len() as u64;
    if shown < whole.counts.sessions {
        html.raw(" <span class=\"quiet\">first ").text(shown).raw(" of ").text(Grouped(whole.counts.sessions));
        html.raw("</span>");
    }
    html.raw("</h2>\n<div class=\"frame\"><table class=\"rows\"><thead><tr><th>Session</th>");
    html.raw("<th class=\"number\">Holds</th><th class=\"number\">Waits</th>");
    html.raw("<th class=\"number\">Ends if idle for</th><th class=\"number\">Ends in</th></tr></thead><tbody>\n");
    whole.sessions.sessions.iter().for_each(|session| session_row(html, session, whole.sessions.now));
    html.raw("</tbody></table></div>\n");
}

fn session_row(html: &mut Html, session: &SessionView, now: Timestamp) {
    let idle_timeout = Duration::from_millis(session.idle_timeout_ms);
    html.raw("<tr><td><span class=\"handle\">").text(session.session.handle()).raw("</span></td>");
    html.raw("<td class=\"number\" data-label=\"Holds\">").text(Grouped(session.holds.into())).raw("</td>");
    html.raw("<td class=\"number\" data-label=\"Waits\">").text(Grouped(session.waiters.into())).raw("</td>");
    html.raw("<td class=\"number\" data-label=\"Ends if idle for\">").text(Span(idle_timeout)).raw("</td>");
    html.raw("<td class=\"number\" data-label=\"Ends in\">");
    match session.deadline {
        Some(deadline) => html.text(Span(deadline.since(now))),
        None => html.raw("in a request"),
    };
    html.raw("</td></tr>\n");
}

/// The table of members; a single node has none.
fn members(html: &mut Html, cluster: &ClusterView) {
    if cluster.members.len() < 2 {
        return;
    }
    html.raw("<h2>Cluster <span class=\"quiet\">");
    match cluster.leader {
        Some(leader) => html.raw("led by node ").text(leader).raw(" in term ").text(cluster.term),
        None => html.raw("without a leader"),
    };
    html.raw("</span></h2>\n");
    if !cluster.has_quorum {
        html.raw("<p class=\"state\"><span class=\"off\">No quorum</span>: nothing is granted until more than ");
        html.raw("half of the members with a vote reach each other again</p>\n");
    }
    html.raw("<div class=\"frame\"><table class=\"rows\"><thead><tr><th>Node</th><th>Role</th><th>State</th>");
    html.raw("<th class=\"number\">Log entries behind</th><th>Address</th></tr></thead><tbody>\n");
    cluster.members.iter().for_each(|member| member_row(html, member, cluster.node));
    html.raw("</tbody></table></div>\n");
}

fn member_row(html: &mut Html, member: &MemberView, this: u64) {
    let role = match member.role {
        MemberRole::Leader => "leader",
        MemberRole::Follower => "follower",
        MemberRole::Learner => "learner, without a vote",
    };
    html.raw("<tr><td><span class=\"name\">").text(member.node).raw("</span>");
    if member.node == this {
        html.raw(" <span class=\"quiet\">this one</span>");
    }
    html.raw("</td><td data-label=\"Role\">").raw(role).raw("</td><td data-label=\"State\">");
    html.raw(if member.up { "up" } else { "<span class=\"down\">down</span>" });
    html.raw("</td><td class=\"number\" data-label=\"Log entries behind\">");
    match member.lag_entries {
        Some(entries) => html.text(Grouped(entries)),
        None => html.raw("<span class=\"quiet\">the leader knows</span>"),
    };
    html.raw("</td><td data-label=\"Address\"><bdi>").text(&member.address).raw("</bdi></td></tr>\n");
}
