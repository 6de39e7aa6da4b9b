//! Descriptions: plain words with `code` between backticks.

use super::super::html::Html;

/// One paragraph; nothing for an empty description.
pub fn prose(html: &mut Html, description: &str) {
    if !description.is_empty() {
        html.raw("<p>");
        inline(html, description);
        html.raw("</p>\n");
    }
}

/// The words alone.
pub fn inline(html: &mut Html, description: &str) {
    for (at, part) in description.split('`').enumerate() {
        if at % 2 == 0 {
            html.text(part);
        } else {
            html.raw("<code>").text(part).raw("</code>");
        }
    }
}

/// As [`inline`], for lists of error codes: each code leads to what is said about it.
pub fn with_error_links(html: &mut Html, description: &str) {
    let is_code = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    for (at, part) in description.split('`').enumerate() {
        if at % 2 == 0 {
            html.text(part);
        } else if is_code(part) && part.contains('-')
            || matches!(part, "held" | "forbidden" | "overloaded" | "internal")
        {
            html.raw("<a href=\"/docs/errors#").text(part).raw("\"><code>").text(part).raw("</code></a>");
        } else {
            html.raw("<code>").text(part).raw("</code>");
        }
    }
}
