//! What the pages are made of: the frame around them, values of the document, and descriptions (plain words with `code`
//! between backticks).

use crate::status::html::{Html, fill};
use serde_json::Value;

const TEMPLATE: &str = include_str!("../assets/docs.html");

/// The page around what is shown.
pub fn framed(title: &'static str, body: Html) -> String {
    let version = Html::of(env!("CARGO_PKG_VERSION"));
    fill(TEMPLATE, vec![("title", Html::of(title)), ("version", version), ("body", body)])
}

/// A text of the document; empty where it is missing.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An array of the document; empty where it is missing.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// One paragraph; nothing for an empty description.
pub fn paragraph(html: &mut Html, description: &str) {
    if !description.is_empty() {
        html.raw("<p>");
        inline(html, description);
        html.raw("</p>\n");
    }
}

/// A description without a paragraph around it.
pub fn inline(html: &mut Html, description: &str) {
    with_error_links(html, description, &[]);
}

/// As [`inline`], with a link from each of these error codes to its row on the page of errors.
pub fn with_error_links(html: &mut Html, description: &str, codes: &[Value]) {
    // A description from a comment of several lines has its line breaks.
    for (at, part) in description.replace('\n', " ").split('`').enumerate() {
        if at % 2 == 0 {
            html.text(part);
        } else if codes.iter().any(|row| row["code"] == part) {
            html.raw("<a href=\"/docs/errors#").text(part).raw("\"><code>").text(part).raw("</code></a>");
        } else {
            html.raw("<code>").text(part).raw("</code>");
        }
    }
}
