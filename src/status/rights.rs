//! The page of what the viewer may do: its credential, role, names and quotas.

use super::frame::{Context, Page, Section, role};
use super::html::Html;
use super::human::Grouped;
use super::table::{Column, cell, facts, figure, number, table, text};
use crate::access::{Identity, RateUse, Role, Subject};
use crate::domain::view::{QuotaUse, ShareView};
use crate::domain::{Counted, Pool, QuotaOf, ShareOf};

/// `quotas`: its shares of the pools, and the quotas that an operator has set.
pub fn page(
    viewer: &Identity,
    (shares, quotas): (&[ShareView], &[QuotaUse]),
    rates: &[RateUse],
    context: &Context<'_>,
) -> String {
    let mut body = Html::default();
    let mut name = Html::default();
    name.raw("<bdi class=\"name\">").text(&viewer.name).raw("</bdi>");
    let mut what = Html::default();
    what.raw("<strong>").raw(role(viewer.role)).raw("</strong>: ").raw(meaning(viewer.role));
    facts(&mut body, vec![("Credential", name), ("Role", what), ("Lock names", names(viewer))]);
    body.raw("<h2>Shares</h2>\n");
    if shares.is_empty() {
        body.raw("<p class=\"quiet\">None: nothing is counted for callers without a credential and an address.</p>\n");
    } else {
        of_pools(&mut body, shares);
    }
    body.raw("<h2>Quotas</h2>\n");
    if quotas.is_empty() {
        body.raw("<p class=\"quiet\">None: only the shares bound you.</p>\n");
    } else {
        of_quotas(&mut body, quotas);
    }
    body.raw("<h2>Request rates</h2>\n");
    if rates.is_empty() {
        body.raw("<p class=\"quiet\">None: your requests are not counted.</p>\n");
    } else {
        of_rates(&mut body, rates);
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

fn of_pools(html: &mut Html, quotas: &[ShareView]) {
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
    table(html, "Shares", "members", &COLUMNS, rows);
}

fn of_quotas(html: &mut Html, quotas: &[QuotaUse]) {
    const COLUMNS: [Column; 4] = [text("Counted for"), text("What"), number("Used"), number("At most")];
    let mut rows = Html::default();
    for quota in quotas {
        rows.raw("<tr><td>");
        match &quota.of {
            QuotaOf::Credential { .. } | QuotaOf::EachCredential => rows.raw("this credential"),
            QuotaOf::Prefix(prefix) => rows.append(of_prefix(prefix)),
        };
        rows.raw("</td>");
        let counted = match quota.counted {
            Counted::Holds => what(Pool::Holds),
            Counted::Sessions => what(Pool::Sessions),
            Counted::Waiters => "waiters",
        };
        cell(&mut rows, "What", Html::of(counted));
        figure(&mut rows, "Used", Html::of(Grouped(quota.used)));
        figure(&mut rows, "At most", Html::of(Grouped(quota.limit)));
        rows.raw("</tr>\n");
    }
    table(html, "Quotas", "members", &COLUMNS, rows);
}

fn of_prefix(prefix: &str) -> Html {
    let mut html = Html::default();
    html.raw("everybody, for locks under <bdi class=\"name\">").text(prefix).raw("</bdi>");
    html
}

fn of_rates(html: &mut Html, rates: &[RateUse]) {
    const COLUMNS: [Column; 5] =
        [text("Requests of"), number("A second"), number("At once after a pause"), number("Passed"), number("Refused")];
    let mut rows = Html::default();
    for rate in rates {
        rows.raw("<tr><td>").append(whose(&rate.subject)).raw("</td>");
        for (title, count) in [
            ("A second", rate.requests_per_second.into()),
            ("At once after a pause", rate.burst.into()),
            ("Passed", rate.passed),
            ("Refused", rate.refused),
        ] {
            figure(&mut rows, title, Html::of(Grouped(count)));
        }
        rows.raw("</tr>\n");
    }
    table(html, "Request rates", "members", &COLUMNS, rows);
    html.raw(
        "<p class=\"quiet\">As this node counts them. Requests that only keep or end what you have always pass.</p>\n",
    );
}

fn whose(subject: &Subject) -> Html {
    let mut html = Html::default();
    match subject {
        Subject::Credential(_) => html.raw("this credential"),
        Subject::EachCredential => html.raw("each credential for itself; passed and refused of all"),
        Subject::Prefix(prefix) => html.append(of_prefix(prefix)),
    };
    html
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
