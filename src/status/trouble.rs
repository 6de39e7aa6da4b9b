//! The page that says why another one cannot be shown.

use super::asked::Href;
use super::frame::{Context, Page, STREAM, Section};
use super::html::Html;
use super::members;
use crate::engine::ClusterView;

/// What went wrong.
pub struct Trouble<'a> {
    pub title: &'static str,
    pub why: &'a str,
    /// It may be over soon, so the page looks again.
    pub may_pass: bool,
    /// For a viewer with the right to see it: the cluster, which may be the reason.
    pub cluster: Option<&'a ClusterView>,
}

pub fn page(trouble: &Trouble<'_>, context: &Context<'_>) -> String {
    let mut body = Html::default();
    body.raw("<section class=\"empty\"><p>").text(trouble.why).raw(".</p></section>\n");
    if let Some(cluster) = trouble.cluster {
        body.raw("<h2>Cluster</h2>\n");
        members::describe(&mut body, cluster);
    }
    let live = trouble.may_pass.then(|| Href::to(STREAM));
    let page = Page {
        title: trouble.title.to_owned(),
        live,
        heading: Html::of(trouble.title),
        ..Page::of(Section::Other, body)
    };
    page.finish(context)
}
