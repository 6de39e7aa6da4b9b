//! The page around what is shown.

use crate::status::html::{Html, fill};

const TEMPLATE: &str = include_str!("../assets/docs.html");

pub fn framed(title: &'static str, body: Html) -> String {
    let mut shown_title = Html::default();
    shown_title.raw(title);
    fill(TEMPLATE, vec![("title", shown_title), ("body", body)])
}
