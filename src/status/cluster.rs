//! The table of members on the status page. A single node has none.

use super::html::Html;
use super::human::Grouped;
use crate::engine::{ClusterView, MemberRole, MemberView};

pub fn members(html: &mut Html, cluster: &ClusterView) {
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
        html.raw(
            "<p class=\"state\"><span class=\"off\">No quorum</span>: nothing is granted until more than half of ",
        );
        html.raw("the members with a vote reach each other again</p>\n");
    }
    html.raw("<div class=\"frame\"><table class=\"rows\"><thead><tr><th>Node</th><th>Role</th><th>State</th>");
    html.raw("<th class=\"number\">Log entries behind</th><th>Address</th></tr></thead><tbody>\n");
    cluster.members.iter().for_each(|member| row(html, member, cluster.node));
    html.raw("</tbody></table></div>\n");
}

fn row(html: &mut Html, member: &MemberView, this: u64) {
    html.raw("<tr><td><span class=\"name\">").text(member.node).raw("</span>");
    if member.node == this {
        html.raw(" <span class=\"quiet\">this one</span>");
    }
    html.raw("</td><td data-label=\"Role\">").raw(role(member.role)).raw("</td><td data-label=\"State\">");
    html.raw(if member.up { "up" } else { "<span class=\"down\">down</span>" });
    html.raw("</td><td class=\"number\" data-label=\"Log entries behind\">");
    match member.lag_entries {
        Some(entries) => html.text(Grouped(entries)),
        None => html.raw("<span class=\"quiet\">the leader knows</span>"),
    };
    html.raw("</td><td data-label=\"Address\"><bdi>").text(&member.address).raw("</bdi></td></tr>\n");
}

fn role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Leader => "leader",
        MemberRole::Follower => "follower",
        MemberRole::Learner => "learner, without a vote",
    }
}
