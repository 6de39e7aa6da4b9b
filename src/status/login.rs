//! The page on which a visitor shows a password or a key.

use super::frame::{Context, Page, Section};
use super::html::Html;

pub const PATH: &str = "/ui/login";

/// What a visitor is asked.
pub struct LoginForm<'a> {
    /// The page that follows.
    pub next: &'a str,
    /// Why the last attempt failed, or what is missing.
    pub why: Option<&'a str>,
}

pub fn page(form: &LoginForm<'_>, context: &Context<'_>) -> String {
    let mut body = Html::default();
    if let Some(why) = form.why {
        body.raw("<p class=\"refused\" role=\"alert\">").text(why).raw(".</p>\n");
    }
    body.raw("<form class=\"card\" method=\"post\" action=\"").raw(PATH).raw("\">");
    body.append(context.token_field());
    body.raw("<input type=\"hidden\" name=\"next\" value=\"").text(form.next).raw("\">");
    body.raw("<label for=\"secret\">Password or API key</label>");
    body.raw(
        "<input id=\"secret\" name=\"secret\" type=\"password\" autocomplete=\"current-password\" required autofocus>",
    );
    body.raw("<button type=\"submit\" class=\"main\">Log in</button></form>\n");
    body.raw("<p class=\"quiet small\">The secret is not kept: your browser gets a cookie for these pages alone, until you log ");
    body.raw("out. If you are logged in and came here by a link of another site, <a href=\"").text(form.next);
    body.raw("\">open the page again</a>.</p>\n");
    let page = Page { title: "Log in".to_owned(), heading: Html::of("Log in"), ..Page::of(Section::Other, body) };
    page.finish(context)
}
