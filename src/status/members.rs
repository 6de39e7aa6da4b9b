//! The page of the cluster: its members, who leads, and how far behind each is.

use super::asked::Href;
use super::frame::{Context, Page, STREAM, Section};
use super::html::Html;
use super::human::Grouped;
use super::table::{Column, cell, facts, figure, number, table, text};
use crate::engine::{ClusterView, MemberRole, MemberView};

pub fn page(cluster: &ClusterView, context: &Context<'_>) -> String {
    let mut body = Html::default();
    describe(&mut body, cluster);
    Page { live: Some(Href::to(STREAM)), ..Page::of(Section::Cluster, body) }.finish(context)
}

/// The same below the page that says why nothing else can be shown.
pub fn describe(html: &mut Html, cluster: &ClusterView) {
    const COLUMNS: [Column; 5] =
        [text("Node"), text("Role"), text("State"), number("Log entries behind"), text("Address")];
    let mut leader = Html::default();
    match cluster.leader {
        Some(node) => leader.raw("node ").text(node).raw(", in term ").text(cluster.term),
        None => leader.raw("<span class=\"mark bad\">without a leader</span>"),
    };
    let quorum = match cluster.has_quorum {
        true => "<span class=\"mark good\">quorum</span>",
        false => "<span class=\"mark bad\">No quorum</span>",
    };
    let mut state = Html::default();
    state.raw(quorum);
    let answers = Html::of(format_args!("node {}", cluster.node));
    let applied = Html::of(format_args!("entry {}", Grouped(cluster.applied_index)));
    let level = Html::of(cluster.level);
    let rows = [
        ("State", state),
        ("Led by", leader),
        ("Answered by", answers),
        ("Applied", applied),
        ("Feature level", level),
    ];
    facts(html, rows.into());
    if !cluster.has_quorum {
        html.raw("<p class=\"state\">Nothing is granted until more than half of the members with a vote reach each ");
        html.raw("other again.</p>\n");
    }
    if cluster.members.len() < 2 {
        html.raw(
            "<p class=\"quiet\">This node runs alone. Two more make a cluster that survives the loss of one: see ",
        );
        html.raw("<code>latchd members</code>.</p>\n");
        return;
    }
    let mut rows = Html::default();
    cluster.members.iter().for_each(|member| row(&mut rows, member, cluster.node));
    table(html, "Members", "members", &COLUMNS, rows);
}

fn row(html: &mut Html, member: &MemberView, this: u64) {
    let role = match member.role {
        MemberRole::Leader => "leader",
        MemberRole::Follower => "follower",
        MemberRole::Learner => "learner, without a vote",
    };
    html.raw("<tr><td><span class=\"name\">").text(member.node).raw("</span>");
    if member.node == this {
        html.raw(" <span class=\"quiet\">this one</span>");
    }
    html.raw("</td>");
    cell(html, "Role", Html::of(role));
    let mut state = Html::default();
    state.raw(if member.up { "<span class=\"mark good\">up</span>" } else { "<span class=\"mark bad\">down</span>" });
    cell(html, "State", state);
    let mut lag = Html::default();
    match member.lag_entries {
        Some(entries) => lag.text(Grouped(entries)),
        None => lag.raw("<span class=\"quiet\">the leader knows</span>"),
    };
    figure(html, "Log entries behind", lag);
    let mut address = Html::default();
    address.raw("<bdi>").text(&member.address).raw("</bdi>");
    cell(html, "Address", address);
    html.raw("</tr>\n");
}
