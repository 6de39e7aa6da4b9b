//! The page of what the viewer may do: its credential, role, names and quotas.

use super::frame::{Context, Page, Section, role};
use super::html::Html;
use super::human::Grouped;
use super::table::{Column, cell, facts, figure, number, table, text};
use crate::access::{Identity, Role};
use crate::domain::view::QuotaView;
use crate::domain::{Pool, ShareOf};

pub fn page(viewer: &Identity, quotas: &[QuotaView], context: &Context<'_>) -> String {
    let mut body = Html::default();
    let mut name = Html::default();
    name.raw("<bdi class=\"name\">").text(&viewer.name).raw("</bdi>");
    let mut what = Html::default();
    what.raw("<strong>").raw(role(viewer.role)).raw("</strong>: ").raw(meaning(viewer.role));
    facts(&mut body, vec![("Credential", name), ("Role", what), ("Lock names", names(viewer))]);
    body.raw("<h2>Quotas</h2>\n");
    if quotas.is_empty() {
        body.raw("<p class=\"quiet\">None: nothing is counted for callers without a credential and an address.</p>\n");
    } else {
        of_pools(&mut body, quotas);
    }
    Page::of(Section::Rights, body).finish(context)
}

const fn meaning(role: Role) -> &'static str {
    match role {
        Role::Client => "takes, renews and releases locks, and reads.",
        Role::Admin => "all that a client may; also ends what belongs to others, and sees keys.",
        Role::ReadOnly => "reads only.",
    }
}

fn names(viewer: &Identity) -> Html {
    let mut html = Html::default();
    if viewer.sees_every_name() {
        html.raw("every name");
        return html;
    }
    html.raw("those that start with ");
    for (at, prefix) in viewer.prefixes().enumerate() {
        html.raw(if at > 0 { " or <bdi class=\"name\">" } else { "<bdi class=\"name\">" });
        html.text(prefix).raw("</bdi>");
    }
    html.raw(". All others are hidden, and so are sessions, whose holds may have any name.");
    html
}

fn of_pools(html: &mut Html, quotas: &[QuotaView]) {
    const COLUMNS: [Column; 5] =
        [text("What"), text("Counted for"), number("Used"), number("At most"), text("Share of")];
    let mut rows = Html::default();
    for quota in quotas {
        rows.raw("<tr><td>").raw(what(quota.pool)).raw("</td>");
        let whose = match quota.whose {
            ShareOf::Credential => "this credential",
            ShareOf::Address => "this credential at your address",
        };
        cell(&mut rows, "Counted for", Html::of(whose));
        figure(&mut rows, "Used", Html::of(Grouped(quota.used)));
        let mut most = Html::default();
        match quota.limit {
            Some(limit) => most.text(Grouped(limit)),
            None => most.raw("<span class=\"quiet\">what the pool has</span>"),
        };
        figure(&mut rows, "At most", most);
        let mut of = Html::default();
        of.raw("<code>").raw(quota.pool.config_key()).raw("</code>");
        cell(&mut rows, "Share of", of);
        rows.raw("</tr>\n");
    }
    table(html, "Quotas", "members", &COLUMNS, rows);
}

const fn what(pool: Pool) -> &'static str {
    match pool {
        Pool::Holds => "holds and waiters",
        Pool::Sessions => "sessions",
        Pool::IdempotencyKeys => "idempotency keys",
        Pool::Bytes => "bytes of the lock table",
        Pool::Marks => "marks of resources",
    }
}
