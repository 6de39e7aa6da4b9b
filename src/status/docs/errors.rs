//! Every error with its status and what to do about it. The anchors are what problem types point at.

use super::super::html::Html;
use super::parts::{framed, inline, list, text};
use serde_json::Value;

/// The page of errors, from the document's `x-error-codes`.
pub fn errors_page(document: &Value) -> String {
    let mut html = Html::default();
    html.raw("<h1>Errors</h1>\n<p>An endpoint of latchd's own answers an error as ");
    html.raw("<code>application/problem+json</code>, and its <code>type</code> points into this table. ");
    html.raw("<code>code</code> is stable. <code>retryable</code> means that the same request may succeed later and ");
    html.raw("that sending it again does no harm.</p>\n");
    html.raw("<div class=\"frame\"><table class=\"rows\"><thead><tr><th>Code</th><th>Status</th><th>Retryable</th>");
    html.raw("<th>Meaning and what to do</th></tr></thead><tbody>\n");
    list(&document["x-error-codes"]).iter().for_each(|row| error(&mut html, row));
    html.raw("</tbody></table></div>\n");
    framed("Errors · latchd", html)
}

fn error(html: &mut Html, row: &Value) {
    html.raw("<tr id=\"").text(text(&row["code"])).raw("\"><td><code>").text(text(&row["code"])).raw("</code></td>");
    html.raw("<td data-label=\"Status\">").text(&row["status"]).raw("</td><td data-label=\"Retryable\">");
    html.raw(if row["retryable"] == true { "yes" } else { "no" }).raw("</td><td>");
    html.text(text(&row["title"])).raw(".<span class=\"via\">");
    inline(html, text(&row["advice"]));
    html.raw("</span></td></tr>\n");
}
