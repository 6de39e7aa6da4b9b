//! Tables: a heading for each column, and cells that carry their heading where a telephone shows rows as blocks.

use super::asked::Href;
use super::html::Html;

/// How the cells of a column stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    Text,
    Number,
}

/// The heading of a column.
pub struct Column(pub &'static str, pub Cells);

pub const fn text(title: &'static str) -> Column {
    Column(title, Cells::Text)
}

pub const fn number(title: &'static str) -> Column {
    Column(title, Cells::Number)
}

/// A table with these columns; `label` names it to screen readers.
pub fn table(html: &mut Html, label: &'static str, class: &'static str, columns: &[Column], rows: Html) {
    html.raw("<div class=\"frame\" role=\"region\" tabindex=\"0\" aria-label=\"").raw(label);
    html.raw("\"><table class=\"rows ").raw(class).raw("\"><thead><tr>");
    for Column(title, cells) in columns {
        html.raw(if *cells == Cells::Number { "<th scope=\"col\" class=\"number\">" } else { "<th scope=\"col\">" });
        html.raw(title).raw("</th>");
    }
    html.raw("</tr></thead><tbody>\n").append(rows).raw("</tbody></table></div>\n");
}

/// A cell of numbers, times and the like.
pub fn figure(html: &mut Html, title: &'static str, content: Html) {
    html.raw("<td class=\"number\" data-label=\"").raw(title).raw("\">").append(content).raw("</td>");
}

pub fn cell(html: &mut Html, title: &'static str, content: Html) {
    html.raw("<td data-label=\"").raw(title).raw("\">").append(content).raw("</td>");
}

/// The ways to the first and the next page, where there are any.
pub fn pager(html: &mut Html, first: Option<Href>, next: Option<Href>) {
    if first.is_none() && next.is_none() {
        return;
    }
    html.raw("<nav class=\"pager\" aria-label=\"Parts of the list\">");
    if let Some(first) = first {
        html.raw("<a href=\"").append(first.written()).raw("\">« First page</a>");
    }
    if let Some(next) = next {
        html.raw("<a rel=\"next\" href=\"").append(next.written()).raw("\">Next page ›</a>");
    }
    html.raw("</nav>\n");
}

/// A list of names with values.
pub fn facts(html: &mut Html, facts: Vec<(&'static str, Html)>) {
    html.raw("<dl class=\"plain\">");
    for (name, value) in facts {
        html.raw("<div><dt>").raw(name).raw("</dt><dd>").append(value).raw("</dd></div>");
    }
    html.raw("</dl>\n");
}

/// Instead of an empty table: what it means, and what to do next.
pub fn empty(html: &mut Html, title: &'static str, next: Html) {
    html.raw("<section class=\"empty\"><h2>").raw(title).raw("</h2>").append(next).raw("</section>\n");
}
