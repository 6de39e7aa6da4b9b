//! The name of a lock, as a way to its page.

use super::asked::Href;
use super::html::Html;
use crate::domain::Name;

/// The path of the page of one lock.
pub const LOCK: &str = "/ui/lock";

pub fn page_of(name: &Name) -> Href {
    // The empty name is left out, and a missing one is empty.
    Href::to(LOCK).with("name", name)
}

pub fn link(name: &Name) -> Html {
    let mut html = Html::default();
    html.raw("<a class=\"name\" href=\"").append(page_of(name).written()).raw("\"><bdi>");
    html.text(if name.is_empty() { "(empty name)" } else { &**name }).raw("</bdi></a>");
    html
}
